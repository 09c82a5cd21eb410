"""What requests to `/{name}/run` ask for; how their bodies are read is told in test_routes."""

import pytest

from hayserve import BasePipelineWrapper
from hayserve.deployments.deployment import Deployment
from hayserve.errors import NotCapable
from hayserve.protocols.rest.decode import served_by
from hayserve.wrappers.capabilities import capabilities_of


class Plain(BasePipelineWrapper):
    def setup(self) -> None: ...

    def run_api(self, text: str) -> str:
        return text


class Chat(BasePipelineWrapper):
    def setup(self) -> None: ...

    def run_response(self, model: str, input_items: object, body: object) -> str:
        return ""


def deployment(wrapper: BasePipelineWrapper) -> Deployment:
    return Deployment("it", wrapper, capabilities_of(wrapper, name="it"))


def test_run_api_answers_with_its_own_signature() -> None:
    method, signature = served_by(deployment(Plain()))
    assert method.name == "run_api"
    assert signature.arguments(b'{"text": "a"}') == {"text": "a"}


def test_a_wrapper_without_the_method_cannot_be_run() -> None:
    with pytest.raises(NotCapable, match="It can: responses"):
        served_by(deployment(Chat()))
