"""What no chunk said is told at the end: calls for the client, and what an agent executed."""

import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from haystack import Pipeline, component
from haystack.components.agents import Agent
from haystack.components.generators.chat import MockChatGenerator
from haystack.dataclasses import ChatMessage, Document, StreamingChunk, ToolCall

from hayserve import events
from hayserve.testing import ScriptedChatGenerator
from hayserve.wrappers.asked import Asked, Resumed
from hayserve.wrappers.context import RunContext, current_run
from hayserve.wrappers.items import Items
from wrappers.streaming_parts import (
    ADD,
    USER,
    chat,
    read_driven,
    read_driven_on_loop,
    read_in_thread,
    read_on_loop,
)

pytestmark = pytest.mark.anyio

Read = Callable[..., Awaitable[list[Any]]]
KEY = "0123456789abcdef01234567"
IN_ROME = ToolCall("weather", {"city": "Rome"}, id="c1")
IN_OSLO = ToolCall("weather", {"city": "Oslo"}, id="c2")
SUM = ToolCall("add", {"a": 1, "b": 2}, id="s1")
OTHER_SUM = ToolCall("add", {"a": 3, "b": 4}, id="s2")
WEATHER = {"type": "function", "function": {"name": "weather"}}

CALL_IN_ROME = events.ToolCallDelta(0, "c1", "weather", '{"city": "Rome"}')
CALLS_FINISHED = events.ModelFinished("tool_calls")
SUM_TOLD = [
    events.ToolStarted("s1", "add", {"a": 1, "b": 2}),
    events.ToolFinished("s1", "add", "3"),
]
OTHER_SUM_TOLD = [
    events.ToolStarted("s2", "add", {"a": 3, "b": 4}),
    events.ToolFinished("s2", "add", "7"),
]


def say(*said: ToolCall | str) -> ChatMessage:
    calls = [one for one in said if isinstance(one, ToolCall)]
    text = "".join(one for one in said if isinstance(one, str))
    return ChatMessage.from_assistant(text or None, tool_calls=calls or None)


@component
class Plain:
    """A model that cannot stream."""

    def __init__(self, *script: ChatMessage) -> None:
        self.script = list(script)

    @component.output_types(replies=list[ChatMessage])
    def run(self, messages: list[ChatMessage], tools: Any = None) -> dict[str, Any]:
        return {"replies": [self.script.pop(0)]}


@component
class OnlyText(Plain):
    """A model that streams what it says, but not what it calls."""

    @component.output_types(replies=list[ChatMessage])
    def run(
        self, messages: list[ChatMessage], tools: Any = None, streaming_callback: Any = None
    ) -> dict[str, Any]:
        if self.script[0].text and streaming_callback is not None:
            streaming_callback(StreamingChunk(self.script[0].text, finish_reason="stop"))
        return {"replies": [self.script.pop(0)]}


def streams(*script: ChatMessage) -> MockChatGenerator:
    return MockChatGenerator(list(script))


MODELS = [Plain, OnlyText, streams]
QUIET = [Plain, OnlyText]


@pytest.fixture(params=[read_in_thread, read_on_loop, read_driven, read_driven_on_loop])
def read(request: pytest.FixtureRequest) -> Read:
    return request.param


async def told(read: Read, runs: Pipeline | Agent, **options: Any) -> list[events.Delta]:
    args = {"messages": USER}
    items = Items()
    said = await read(runs, pipeline_run_args=args, **options)
    return [event for item in said for event in items.events_of(item)]


async def asked(
    read: Read, agent: Agent, saved: list[Any], *, resumed: Resumed | None = None
) -> list[events.Delta]:
    run = RunContext(KEY, asked=Asked(KEY, (WEATHER,), resumed=resumed, keep=saved.append))
    token = current_run.set(run)
    try:
        return await told(read, agent)
    finally:
        current_run.reset(token)


def tools_in(said: Sequence[events.Delta]) -> list[events.Delta]:
    return [one for one in said if isinstance(one, events.ToolStarted | events.ToolFinished)]


def calls_in(said: Sequence[events.Delta]) -> list[tuple[str | None, str]]:
    return [(one.name, one.arguments) for one in said if isinstance(one, events.ToolCallDelta)]


def text_in(said: Sequence[events.Delta]) -> str:
    return "".join(one.text for one in said if isinstance(one, events.TextDelta))


@pytest.mark.parametrize("model", MODELS)
async def test_a_pipelines_call_is_the_clients_however_it_is_said(
    read: Read, model: Callable[..., Any]
) -> None:
    said = await told(read, chat(("llm", model(say(IN_ROME)))))
    assert [one for one in said if one != events.TextDelta("")] == [CALL_IN_ROME, CALLS_FINISHED]


@pytest.mark.parametrize("model", MODELS)
async def test_what_is_said_beside_the_calls_comes_before_them(
    read: Read, model: Callable[..., Any]
) -> None:
    said = await told(read, chat(("llm", model(say("Let me see.", IN_ROME, IN_OSLO)))))
    assert text_in(said) == "Let me see."
    assert calls_in(said) == [("weather", '{"city": "Rome"}'), ("weather", '{"city": "Oslo"}')]
    assert isinstance(said[0], events.TextDelta)
    assert said[-1] == CALLS_FINISHED


@pytest.mark.parametrize("model", MODELS)
async def test_a_call_of_a_pipeline_is_told_to_the_callbacks(
    read: Read, model: Callable[..., Any]
) -> None:
    started: list[Any] = []
    pipeline = chat(("llm", model(say(IN_ROME))))
    await told(read, pipeline, on_tool_call_start=lambda *call: started.append(call))  # pyright: ignore[reportUnknownLambdaType] - what it is called with
    assert started == [("weather", {"city": "Rome"}, "c1")]


async def test_only_the_finished_answer_calls(read: Read) -> None:
    earlier = chat(("first", Plain(say(IN_ROME))), ("last", Plain(say("Hello."))))
    said = await told(read, earlier, include_outputs_from={"first"})
    assert said == [events.TextDelta("Hello.")]


async def test_what_one_model_streamed_says_nothing_of_another(read: Read) -> None:
    pipeline = chat(("first", streams(say(IN_OSLO))), ("last", Plain(say(IN_ROME))))
    said = await told(read, pipeline)
    assert calls_in(said) == [("weather", '{"city": "Oslo"}'), ("weather", '{"city": "Rome"}')]


@component
class ToolInvoker:
    """It executes what the models of its pipeline call."""

    @component.output_types(tool_messages=list[ChatMessage])
    def run(self, messages: list[ChatMessage]) -> dict[str, Any]:
        return {"tool_messages": messages}


async def test_what_the_pipeline_executes_itself_is_not_for_the_client(read: Read) -> None:
    said = await told(read, chat(("llm", Plain(say(IN_ROME))), ("tools", ToolInvoker())))
    assert calls_in(said) == []


@component
class Answers:
    """A component whose replies are texts."""

    @component.output_types(replies=list[str], documents=list[Document])
    def run(self, messages: list[ChatMessage]) -> dict[str, Any]:
        return {"replies": ["Hi."], "documents": []}


async def test_a_text_calls_nothing(read: Read) -> None:
    assert await told(read, chat(("last", Answers()))) == [events.TextDelta("Hi.")]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("inside", [False, True])
async def test_an_agents_own_calls_are_told_once_whatever_its_model_streams(
    read: Read, model: Callable[..., Any], inside: bool
) -> None:
    script = [say(SUM), say(OTHER_SUM), say("It is 7.")]
    agent = Agent(chat_generator=model(*script), tools=[ADD])

    said = await told(read, chat(("agent", agent)) if inside else agent)

    assert tools_in(said) == [*SUM_TOLD, *OTHER_SUM_TOLD]
    assert text_in(said) == "It is 7."
    assert calls_in(said) == []


@pytest.mark.parametrize("model", QUIET)
async def test_calls_without_ids_are_told_too(read: Read, model: Callable[..., Any]) -> None:
    calls = [ToolCall("add", {"a": 1, "b": 2}), ToolCall("add", {"a": 3, "b": 4})]
    agent = Agent(chat_generator=model(say(*calls), say("7")), tools=[ADD])
    said = await told(read, agent)
    assert [type(one) for one in tools_in(said)] == [events.ToolStarted, events.ToolFinished] * 2


async def test_an_id_may_come_again(read: Read) -> None:
    agent = Agent(chat_generator=OnlyText(say(SUM), say(SUM), say("3")), tools=[ADD])
    assert tools_in(await told(read, agent)) == [*SUM_TOLD, *SUM_TOLD]


@pytest.mark.parametrize("model", MODELS)
async def test_the_callbacks_are_told_of_an_agents_calls_once(
    read: Read, model: Callable[..., Any]
) -> None:
    heard: list[Any] = []

    def hear(*args: Any) -> None:
        heard.append(args)

    agent = Agent(chat_generator=model(say(SUM), say("3")), tools=[ADD])
    said = await told(read, agent, on_tool_call_start=hear, on_tool_call_end=hear)
    assert heard == [("add", {"a": 1, "b": 2}, "s1"), ("add", {"a": 1, "b": 2}, "3", False)]
    assert text_in(said) == "3"


@pytest.mark.parametrize("model", MODELS)
async def test_what_was_executed_before_is_not_told_again(
    read: Read, model: Callable[..., Any]
) -> None:
    agent = Agent(chat_generator=model(say("Hello.")), tools=[ADD])
    history = [*USER, say(SUM), ChatMessage.from_tool("3", origin=SUM), *USER]
    items = Items()
    said = await read(agent, pipeline_run_args={"messages": history})
    assert tools_in([event for item in said for event in items.events_of(item)]) == []


@pytest.mark.parametrize("model", MODELS)
async def test_a_mixed_turn_shows_both_and_its_continuation_only_what_is_new(
    read: Read, model: Callable[..., Any]
) -> None:
    saved: list[Any] = []
    script = [say(SUM, IN_ROME), say(OTHER_SUM), say("It rains.")]
    agent = Agent(chat_generator=model(*script), tools=[ADD])

    first = await asked(read, agent, saved)
    [kept] = saved
    resumed = Resumed(json.loads(json.dumps(kept)), {f"call_{KEY}01": "rain"})
    second = await asked(read, agent, saved, resumed=resumed)

    assert tools_in(first) == SUM_TOLD
    assert calls_in(first) == [("weather", '{"city": "Rome"}')]
    assert first[-1] == CALLS_FINISHED
    assert tools_in(second) == OTHER_SUM_TOLD
    assert calls_in(second) == []
    assert text_in(second) == "It rains."


async def test_a_tool_that_fails_is_told_as_failed(read: Read) -> None:
    agent = Agent(
        chat_generator=Plain(say(ToolCall("add", {"a": 1}, id="s1")), say("No.")),
        tools=[ADD],
        raise_on_tool_invocation_failure=False,
    )
    _, finished = tools_in(await told(read, agent))
    assert isinstance(finished, events.ToolFinished)
    assert finished.failed


async def test_one_that_streams_all_may_run_beside_it(read: Read) -> None:
    model = ScriptedChatGenerator([[SUM, OTHER_SUM], "7"])
    said = await told(read, Agent(chat_generator=model, tools=[ADD]))
    started = [one for one in said if isinstance(one, events.ToolStarted)]
    assert [one.id for one in started] == ["s1", "s2"]
