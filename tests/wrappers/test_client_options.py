"""A caller's parameters and tools reach the models of an agent and of a pipeline."""

from typing import Any

import pytest
from haystack import component
from haystack.components.agents import Agent
from haystack.dataclasses import ChatMessage, StreamingChunk

from hayserve.testing import ScriptedChatGenerator
from hayserve.wrappers.asked import Asked
from hayserve.wrappers.context import RunContext, current_run
from hayserve.wrappers.streaming import streaming_generator
from wrappers.streaming_parts import ADD, USER, SyncOnly, chat

TOOL: dict[str, Any] = {"type": "function", "function": {"name": "f"}}


@component
class Model:
    """A model that notes what it is given."""

    def __init__(self) -> None:
        self.given: dict[str, Any] = {}

    @component.output_types(replies=list[ChatMessage])
    def run(  # noqa: PLR0917 - as models have it
        self,
        messages: list[ChatMessage],
        generation_kwargs: dict[str, Any] | None = None,
        tools: Any = None,
        streaming_callback: Any = None,
    ) -> dict[str, Any]:
        names = [tool.name for tool in tools or ()]
        self.given = {"generation_kwargs": generation_kwargs, "tools": names}
        streaming_callback(StreamingChunk(content="Hi."))
        return {"replies": [ChatMessage.from_assistant("Hi.")]}


def run(pipeline: Any, asked: Asked, args: dict[str, Any]) -> None:
    token = current_run.set(RunContext("r", asked=asked))
    try:
        assert list(streaming_generator(pipeline, pipeline_run_args=args))
    finally:
        current_run.reset(token)


def test_an_agents_model_gets_the_parameters() -> None:
    model = Model()

    run(Agent(chat_generator=model), Asked("k", generation={"seed": 1}), {"messages": USER})

    assert model.given == {"generation_kwargs": {"seed": 1}, "tools": []}


def test_a_model_in_a_pipeline_gets_the_parameters_and_the_tools() -> None:
    model = Model()
    asked = Asked("k", (TOOL,), "required", {"seed": 1})

    run(chat(("llm", model)), asked, {"llm": {"messages": USER}})

    assert model.given == {
        "generation_kwargs": {"seed": 1, "tool_choice": "required"},
        "tools": ["f"],
    }


def test_the_wrapper_has_the_last_word() -> None:
    model = Model()
    own = {"generation_kwargs": {"seed": 2}}

    asked = Asked("k", generation={"seed": 1, "stop": "."})
    run(chat(("llm", model)), asked, {"llm": {"messages": USER, **own}})
    assert model.given["generation_kwargs"] == {"seed": 2, "stop": "."}

    run(Agent(chat_generator=model), asked, {"messages": USER, **own})
    assert model.given["generation_kwargs"] == {"seed": 2, "stop": "."}


def test_an_agent_in_a_pipeline_gets_the_parameters_and_no_tools() -> None:
    model = Model()
    pipeline = chat(("agent", Agent(chat_generator=model, tools=[ADD])))

    run(pipeline, Asked("k", (TOOL,), "auto", {"seed": 1}), {"agent": {"messages": USER}})

    assert model.given == {"generation_kwargs": {"seed": 1}, "tools": ["add"]}


@pytest.mark.parametrize("generation", [{"seed": 1}, {}])
def test_a_component_that_takes_none_gets_none(generation: dict[str, Any]) -> None:
    talks = SyncOnly()

    run(chat(("talks", talks)), Asked("k", (TOOL,), "auto", generation), {"query": "hi"})

    assert talks.said == 2


def test_a_scripted_model_takes_them_too() -> None:
    model = ScriptedChatGenerator(["Hi."])

    run(chat(("llm", model)), Asked("k", (TOOL,)), {"llm": {"messages": USER}})

    assert len(model.received) == 1
