"""What requests to `/{name}/run` ask for; how their bodies are read is told in test_routes."""

import pytest
from starlette.datastructures import Headers

from hayserve import BasePipelineWrapper
from hayserve.deployments.deployment import Deployment
from hayserve.errors import NotCapable
from hayserve.protocols.rest.decode import run_of
from hayserve.wrappers.capabilities import capabilities_of


class Plain(BasePipelineWrapper):
    def setup(self) -> None: ...

    def run_api(self, text: str) -> str:
        return text


class Nosy(Plain):
    def run_api(self, text: str, headers: Headers | None = None) -> str:
        return text


class Chat(BasePipelineWrapper):
    def setup(self) -> None: ...

    def run_response(self, model: str, input_items: object, body: object) -> str:
        return ""


def deployment(wrapper: BasePipelineWrapper) -> Deployment:
    return Deployment("it", wrapper, capabilities_of(wrapper, name="it"))


def test_a_run_has_the_requests_id_and_arguments() -> None:
    plain = deployment(Plain())
    run = run_of(plain, {"text": "a"}, headers=Headers(), run_id="r1")
    assert (run.id, run.deployment, run.method.name) == ("r1", "it", "run_api")
    assert run.uses is plain.uses
    assert run.arguments == {"text": "a"}


def test_headers_are_an_argument_where_they_are_declared() -> None:
    headers = Headers({"x-tenant": "t"})
    run = run_of(deployment(Nosy()), {"text": "a"}, headers=headers, run_id="r1")
    assert run.arguments == {"text": "a", "headers": headers}


def test_a_wrapper_without_the_method_cannot_be_run() -> None:
    with pytest.raises(NotCapable, match="It can: responses"):
        run_of(deployment(Chat()), {}, headers=Headers(), run_id="r1")
