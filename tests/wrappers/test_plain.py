"""Agents, pipelines and whatever gives one of them, served without a wrapper."""

import json
from typing import Any

import pytest
from haystack import Pipeline, component
from haystack.components.agents import Agent
from haystack.components.builders import PromptBuilder
from haystack.components.generators.chat import MockChatGenerator

from hayserve.errors import DeployRefused
from hayserve.wrappers.base import BasePipelineWrapper
from hayserve.wrappers.capabilities import capabilities_of
from hayserve.wrappers.plain import wrapper_for
from hayserve.wrappers.plain_agent import PlainAgentWrapper
from hayserve.wrappers.plain_pipeline import PlainPipelineWrapper

ACCEPTED = (
    "Accepted are a Haystack Agent or Pipeline, a BasePipelineWrapper (the class or an instance), "
    "and a function without arguments that returns one of these."
)


class Greeter(BasePipelineWrapper):
    def setup(self) -> None: ...

    def run_api(self, name: str) -> str:
        return f"Hello, {name}"


class Unfinished(BasePipelineWrapper):
    def run_api(self) -> str:
        return ""


@component
class Search:
    @component.output_types(documents=list[str])
    def run(self, query: str, top_k: int = 3, size: int = 1) -> dict[str, Any]:
        return {"documents": [query] * top_k}


def retrieval() -> Pipeline:
    pipeline = Pipeline()
    pipeline.add_component("search", Search())
    pipeline.add_component("prompt", PromptBuilder("{{ query }}: {{ documents | join(' ') }}"))
    pipeline.connect("search.documents", "prompt.documents")
    return pipeline


def an_agent() -> Agent:
    return Agent(chat_generator=MockChatGenerator())


async def answered(wrapper: BasePipelineWrapper, body: dict[str, Any]) -> Any:
    able = capabilities_of(wrapper, name="it")
    assert able.api is not None
    assert able.signature is not None
    arguments = able.signature.arguments(json.dumps(body).encode())
    return json.loads(able.signature.encode(await able.api.function(**arguments)))["result"]


def set_up(thing: object) -> BasePipelineWrapper:
    wrapper = wrapper_for(thing)
    wrapper.setup()
    return wrapper


def test_agents_and_pipelines_are_served_as_they_are() -> None:
    assert isinstance(wrapper_for(an_agent()), PlainAgentWrapper)
    assert isinstance(wrapper_for(retrieval()), PlainPipelineWrapper)


def test_wrappers_are_taken_as_a_class_or_an_instance() -> None:
    greeter = Greeter()
    assert wrapper_for(greeter) is greeter
    assert isinstance(wrapper_for(Greeter), Greeter)


def test_a_function_may_make_what_is_served() -> None:
    assert isinstance(wrapper_for(an_agent), PlainAgentWrapper)
    assert isinstance(wrapper_for(retrieval), PlainPipelineWrapper)


def with_an_argument(name: str) -> Agent:
    raise NotImplementedError


async def async_factory() -> Agent:
    raise NotImplementedError


def broken() -> Agent:
    raise LookupError("no model")


def nothing() -> None: ...


@pytest.mark.parametrize(
    ("thing", "said"),
    [
        (3, f"An object of the type 'int' cannot be served. {ACCEPTED}"),
        (
            nothing,
            f"'nothing' gave an object of the type 'NoneType', which cannot be served. {ACCEPTED}",
        ),
        (with_an_argument, f"'with_an_argument' cannot be called without arguments. {ACCEPTED}"),
        (dict, f"'dict' cannot be called without arguments. {ACCEPTED}"),
        (
            async_factory,
            f"'async_factory' is an async function. Make it a plain function. {ACCEPTED}",
        ),
        (
            broken,
            (
                "'broken' failed: LookupError: no model. "
                "It is called at deploy, in every process that serves."
            ),
        ),
    ],
)
def test_anything_else_is_refused(thing: object, said: str) -> None:
    with pytest.raises(DeployRefused) as refused:
        wrapper_for(thing)
    assert str(refused.value) == said


def test_a_wrapper_without_setup_is_told_what_to_write() -> None:
    with pytest.raises(DeployRefused) as refused:
        wrapper_for(Unfinished)
    assert refused.value.message == "'Unfinished' defines no `setup()`."
    assert "\n    def setup(self) -> None:\n        self." in refused.value.hint
