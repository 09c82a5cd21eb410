"""Pipelines as methods: what runs, and what is a chat model."""

from collections.abc import Mapping
from typing import Any

import pytest
from haystack import Pipeline, component
from haystack.components.agents import Agent
from haystack.components.builders import ChatPromptBuilder
from haystack.components.generators.chat import MockChatGenerator
from haystack.dataclasses import ChatMessage, Document, StreamingChunk, ToolCall

from hayserve.events import (
    Citation,
    Event,
    ModelFinished,
    RunFinished,
    StreamOpened,
    TextDelta,
)
from hayserve.runs.execute import Executor
from hayserve.runs.run import Run, new_ids
from hayserve.wrappers.capabilities import capabilities_of
from hayserve.wrappers.named_pipeline import NamedPipeline
from hayserve.wrappers.pipeline_io import OutputResolution, inputs_of
from hayserve.wrappers.plain_pipeline import PlainPipelineWrapper
from wrappers.streaming_parts import ADD, Mute


@component
class Shout:
    @component.output_types(text=str, said=list[str])
    def run(self, text: str) -> dict[str, Any]:
        return {"text": text.upper(), "said": [text]}


@component
class Quiet:
    """Gives no `answer` although it could."""

    @component.output_types(answer=str, text=str)
    def run(self, text: str) -> dict[str, Any]:
        return {"text": text}


@component
class Reply:
    @component.output_types(replies=list[str])
    def run(self, text: str) -> dict[str, Any]:
        return {"replies": ["not this", text]}


def named(part: Any, **outputs: str) -> NamedPipeline:
    """A pipeline of one component; `outputs` gives names to the component's fields."""
    pipeline = Pipeline()
    pipeline.add_component("part", part)
    resolved = {
        name: OutputResolution(f"part.{field}", "part", field, Any)
        for name, field in outputs.items()
    }
    return NamedPipeline(pipeline, inputs=inputs_of(pipeline), outputs=resolved)


async def answer_to_hi(methods: Mapping[str, Any]) -> Any:
    messages = [{"role": "user", "content": "hi"}]
    return await methods["run_chat_completion_async"](model="it", messages=messages, body={})


@pytest.mark.anyio
async def test_what_runs_gives_the_named_outputs_or_all() -> None:
    assert await named(Shout(), loud="text").run({"text": "a"}) == {"loud": "A"}
    assert await named(Shout()).run({"text": "a"}) == {"part": {"text": "A", "said": ["a"]}}


def test_a_pipeline_without_an_answer_is_no_chat_model() -> None:
    assert list(named(Shout()).methods()) == ["run_api_async"]
    assert list(named(Shout(), loud="text").methods()) == ["run_api_async"]


@pytest.mark.anyio
async def test_a_pipeline_that_cannot_stream_gives_its_answer_at_once() -> None:
    assert await answer_to_hi(named(Reply()).methods()) == "hi"
    assert await answer_to_hi(named(Reply(), said="replies").methods()) == "hi"
    assert await answer_to_hi(named(Shout(), first="said", answer="text").methods()) == "HI"
    assert await answer_to_hi(named(Quiet(), said="answer").methods()) == ""


def test_the_answer_is_the_output_called_so_or_the_only_one() -> None:
    assert named(Shout(), first="said", reply="text").answer == "reply"
    assert named(Shout(), only="text").answer == "only"
    assert named(Shout(), one="text", two="said").answer is None


@pytest.mark.anyio
async def test_a_pipeline_with_a_chat_generator_streams() -> None:
    pipeline = Pipeline()
    template = '{% message role="user" %}{{ question }}!{% endmessage %}'
    pipeline.add_component("prompt", ChatPromptBuilder(template=template))
    pipeline.add_component("llm", MockChatGenerator())
    pipeline.connect("prompt.prompt", "llm.messages")
    wrapper = PlainPipelineWrapper(pipeline)
    wrapper.setup()
    assert await chat(wrapper, "Hello") == [
        StreamOpened(),
        TextDelta("Hello!"),
        ModelFinished("stop"),
        RunFinished(),
    ]


async def chat(wrapper: PlainPipelineWrapper, text: str) -> list[Event]:
    able = capabilities_of(wrapper, name="it")
    assert able.chat is not None
    messages = [{"role": "user", "content": text}]
    arguments: dict[str, Any] = {"model": "it", "messages": messages, "body": {}}
    executor = Executor()
    async with executor.running():
        return await executor.start(Run(new_ids(1)[0], "it", able.chat, arguments)).all_events()


@component
class Cites:
    @component.output_types(replies=list[str], documents=list[Document])
    def run(self, text: str) -> dict[str, Any]:
        return {"replies": [text], "documents": [Document(id="1", meta={"title": "Hay"})]}


@pytest.mark.anyio
async def test_an_answer_that_is_based_on_documents_says_so() -> None:
    said, cited = await answer_to_hi(named(Cites()).methods())

    assert said == "hi"
    assert cited.citations == (Citation("Hay", file_id="1", filename="Hay"),)


@component
class Calls:
    """A model that cannot stream, and calls a tool."""

    def __init__(self, text: str | None = None) -> None:
        self.text = text

    @component.output_types(replies=list[ChatMessage])
    def run(self, text: str) -> dict[str, Any]:
        call = ToolCall("weather", {"city": "Rome"}, id="c1")
        return {"replies": [ChatMessage.from_assistant(self.text, tool_calls=[call])]}


@pytest.mark.anyio
@pytest.mark.parametrize("outputs", [{}, {"said": "replies"}])
@pytest.mark.parametrize("text", [None, "Let me see."])
async def test_an_answer_may_be_calls_for_the_client(
    outputs: dict[str, str], text: str | None
) -> None:
    *said, calls = await answer_to_hi(named(Calls(text), **outputs).methods())

    assert said == ([text] if text else [])
    assert isinstance(calls, StreamingChunk)
    assert [call.id for call in calls.tool_calls or ()] == ["c1"]


@pytest.mark.anyio
async def test_what_an_agent_executed_comes_before_its_answer() -> None:
    pipeline = Pipeline()
    pipeline.add_component("agent", Agent(chat_generator=Mute(), tools=[ADD]))
    wrapper = PlainPipelineWrapper(pipeline)
    wrapper.setup()

    executed, said = await answer_to_hi(
        {"run_chat_completion_async": wrapper.run_chat_completion_async}
    )

    assert executed.tool_call_result.result == "2"
    assert said == "2"
