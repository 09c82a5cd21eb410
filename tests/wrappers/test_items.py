"""What the items of a wrapper's stream mean."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from fastapi_openai_compat import (  # pyright: ignore[reportMissingTypeStubs] - it has none
    ChatCompletion,
    Choice,
    Message,
)
from haystack.dataclasses import (
    ChatMessage,
    Document,
    ReasoningContent,
    StreamingChunk,
    TextContent,
    ToolCall,
    ToolCallDelta,
    ToolCallResult,
)
from openai.types.chat import ChatCompletionChunk
from pydantic import BaseModel

from hayserve import events
from hayserve.testing import ScriptedChatGenerator
from hayserve.wrappers.base import SSEStream
from hayserve.wrappers.citations import citations_in
from hayserve.wrappers.client_events import create_status_event
from hayserve.wrappers.items import (
    Items,
    as_text,
    is_ready_made,
    plain_text,
    ready_made,
    stream_in,
    tool_result_text,
)
from hayserve.wrappers.streaming import streaming_generator
from wrappers.streaming_parts import USER, calculator, chat

CHUNK: dict[str, Any] = {
    "id": "1",
    "object": "chat.completion.chunk",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "delta": {"content": "hi"}, "finish_reason": None}],
}


class Point(BaseModel):
    x: int


class Odd:
    def __str__(self) -> str:
        return "odd"


class Custom:
    def __init__(self, **event: Any) -> None:
        self.event = event

    def to_event_dict(self) -> dict[str, Any]:
        return self.event


@pytest.mark.parametrize(
    ("item", "event"),
    [
        ("text", events.TextDelta("text")),
        ("", events.TextDelta("")),
        (None, events.TextDelta("")),
        (b"\xff", events.BytesDelta(b"\xff")),
        (bytearray(b"a"), events.BytesDelta(b"a")),
        ({"k": "ü"}, events.TextDelta('{"k": "ü"}')),
        ([1, None], events.TextDelta("[1, null]")),
        (3, events.TextDelta("3")),
        (Odd(), events.TextDelta('"odd"')),
        (Point(x=1), events.TextDelta('{"x": 1}')),
        ([Point(x=1)], events.TextDelta('[{"x": 1}]')),
        (ChatMessage.from_assistant("hi"), events.TextDelta("hi")),
        (ChatMessage.from_assistant(tool_calls=[ToolCall("t", {})]), events.TextDelta("")),
        (StreamingChunk("a"), events.TextDelta("a")),
        (
            StreamingChunk("", index=0, reasoning=ReasoningContent("hm")),
            events.ReasoningDelta("hm"),
        ),
        (
            create_status_event("working"),
            events.ClientEvent(
                "status", {"description": "working", "done": False, "hidden": False}
            ),
        ),
        (Custom(type="x", data={"a": 1}), events.ClientEvent("x", {"a": 1})),
        (Custom(type="x", a=1), events.ClientEvent("x", {"a": 1})),
        (Custom(a=1), events.ClientEvent("", {"a": 1})),
    ],
)
def test_an_item_is_an_event(item: object, event: events.Event) -> None:
    assert Items().events_of(item) == [event]


def test_an_empty_chunk_says_nothing() -> None:
    assert Items().events_of(StreamingChunk("")) == []


@pytest.mark.parametrize("reason", ["stop", "length", "tool_calls", "content_filter"])
def test_a_chunk_may_end_a_models_turn(reason: Any) -> None:
    chunk = StreamingChunk("a", finish_reason=reason)
    assert Items().events_of(chunk) == [events.TextDelta("a"), events.ModelFinished(reason)]


def test_haystacks_own_finish_reason_stays_inside() -> None:
    assert Items().events_of(StreamingChunk("", finish_reason="tool_call_results")) == []


def translated(stream: Any) -> list[events.Delta]:
    items = Items()
    return [event for item in stream for event in items.events_of(item)]


def test_an_agents_own_tool_calls_are_told_as_such() -> None:
    said = translated(streaming_generator(calculator(), pipeline_run_args={"messages": USER}))
    assert said == [
        events.ToolStarted("c1", "add", {"a": 1, "b": 2}),
        events.ToolStarted("c2", "add", {"a": 3, "b": 4}),
        events.ModelFinished("tool_calls"),
        events.ToolFinished("c1", "add", "3"),
        events.ToolFinished("c2", "add", "7"),
        events.ToolStarted("c3", "add", {"a": 3, "b": 7}),
        events.ModelFinished("tool_calls"),
        events.ToolFinished("c3", "add", "10"),
        events.TextDelta("It "),
        events.TextDelta("is "),
        events.TextDelta("10."),
        events.ModelFinished("stop"),
    ]


def test_an_agent_inside_a_pipeline_owns_its_tool_calls_too() -> None:
    said = translated(
        streaming_generator(
            chat(("agent", calculator())), pipeline_run_args={"agent": {"messages": USER}}
        )
    )
    assert not any(isinstance(event, events.ToolCallDelta) for event in said)
    assert sum(isinstance(event, events.ToolStarted) for event in said) == 3


def test_a_bare_models_tool_calls_are_the_clients() -> None:
    model = ScriptedChatGenerator([ToolCall("add", {"a": 1}, id="c1")])
    said = translated(
        streaming_generator(chat(("llm", model)), pipeline_run_args={"messages": USER})
    )
    assert said == [
        events.ToolCallDelta(0, id="c1", name="add"),
        events.ToolCallDelta(0, arguments='{"a"'),
        events.ToolCallDelta(0, arguments=": 1}"),
        events.ModelFinished("tool_calls"),
    ]


def test_a_tool_that_failed_is_told() -> None:
    result = ToolCallResult("no", ToolCall("add", {}), error=True)
    chunk = StreamingChunk("", index=0, tool_call_result=result)
    assert Items().events_of(chunk) == [events.ToolFinished("", "add", "no", failed=True)]


@pytest.mark.parametrize(
    ("result", "text"),
    [
        ("plain", "plain"),
        ([TextContent("a"), TextContent("b")], "a\nb"),
        ([TextContent("a"), Odd()], '["a", "odd"]'),
        ([], "[]"),
    ],
)
def test_the_result_of_a_tool_is_text(result: Any, text: str) -> None:
    assert tool_result_text(result) == text


def test_as_text_never_fails() -> None:
    endless: list[Any] = []
    endless.append(endless)
    assert as_text(endless) == "[[...]]"
    assert as_text({(1, 2): 3}) == "{(1, 2): 3}"
    assert as_text(b"\xffa") == "\ufffda"
    assert "Document" in as_text(Document(content="x"))


def test_a_number_that_json_does_not_have_is_null() -> None:
    assert as_text({"NaN": [float("nan"), 1.0, float("inf")]}) == '{"NaN": [null, 1.0, null]}'
    assert as_text(["é", "Infinity"]) == '["é", "Infinity"]'


def test_openai_objects_pass_as_they_are() -> None:
    chunk = ChatCompletionChunk.model_validate(CHUNK)
    [event] = Items().events_of(chunk)
    assert isinstance(event, events.ReadyMade)
    assert event.data["choices"] == [{"index": 0, "delta": {"content": "hi"}}]


def test_hayhooks_openai_objects_pass_as_they_are() -> None:
    message = Message(role="assistant", content="hi")
    completion = ChatCompletion(
        id="1",
        object="chat.completion",
        created=1,
        model="m",
        choices=[Choice(index=0, message=message, finish_reason="stop")],
    )
    assert is_ready_made(completion)
    data = ready_made(completion)
    assert data["object"] == "chat.completion"
    assert json.loads(json.dumps(data))["choices"][0]["message"]["content"] == "hi"


def test_what_has_no_kind_is_no_openai_object() -> None:
    assert not is_ready_made(Point(x=1))
    assert not is_ready_made({"object": "chat.completion"})


class Counter:
    """An iterator that is no generator."""

    def __iter__(self) -> "Counter":
        return self

    def __next__(self) -> int:
        raise StopIteration


class OnlyAsyncIterable:
    def __aiter__(self) -> AsyncIterator[int]:
        return numbers()


async def numbers() -> AsyncIterator[int]:
    yield 1


@pytest.mark.parametrize("value", [iter([1]), (n for n in [1]), Counter(), map(str, [1])])
def test_iterators_are_streams(value: Any) -> None:
    for given, sse in ((value, False), (SSEStream(value), True)):
        stream = stream_in(given)
        assert stream is not None
        assert (stream.items, stream.async_items, stream.sse) == (value, None, sse)


@pytest.mark.anyio
async def test_async_iterables_are_streams() -> None:
    for value in (numbers(), OnlyAsyncIterable()):
        stream = stream_in(value)
        assert stream is not None
        assert stream.async_items is not None
        assert [item async for item in stream.async_items] == [1]
        assert stream.items is None


@pytest.mark.parametrize("value", ["abc", [1], (1,), {"a": 1}, b"x", None, 3, range(3), Point(x=1)])
def test_containers_are_no_streams(value: object) -> None:
    assert stream_in(value) is None


def test_a_piece_of_a_call_may_lack_everything_but_its_index() -> None:
    delta = ToolCallDelta(1, tool_name="t")
    chunk = StreamingChunk("", index=1, tool_calls=[delta])
    assert Items().events_of(chunk) == [events.ToolCallDelta(1, None, "t", "")]


class Shouted(str):
    """A text of a kind of its own."""

    __slots__ = ()


REASON = ReasoningContent("hm")
RESULT = ToolCallResult("r", ToolCall("t", {}), error=False)


@pytest.mark.parametrize(
    ("item", "text"),
    [
        ("abc", "abc"),
        ("", ""),
        (Shouted("abc"), ""),
        (StreamingChunk("abc"), "abc"),
        (StreamingChunk(""), ""),
        (StreamingChunk("abc", finish_reason="stop"), ""),
        (StreamingChunk("", index=0, reasoning=REASON), ""),
        (StreamingChunk("", index=0, tool_calls=[ToolCallDelta(0, tool_name="t")]), ""),
        (StreamingChunk("", index=0, tool_call_result=RESULT), ""),
        (b"abc", ""),
        (None, ""),
    ],
)
def test_what_is_nothing_but_a_text_takes_a_short_way_that_leads_to_the_same(
    item: Any, text: str
) -> None:
    assert plain_text(item) == text
    if text:
        assert Items().events_of(item) == [events.TextDelta(text)]


def test_the_documents_that_an_answer_is_based_on_are_cited() -> None:
    [sources] = citations_in([Document(id="1", content="a", meta={"url": "https://a.org"})])
    citation = events.Citation("https://a.org", url="https://a.org")
    assert plain_text(sources) == ""
    assert Items().events_of(sources) == [events.Cited((citation,))]


def test_a_result_that_no_agent_gave_begins_nothing() -> None:
    result = ToolCallResult("3", ToolCall("add", {"a": 1}, id="c1"), error=False)
    chunk = StreamingChunk("", index=0, tool_call_result=result)
    assert Items().events_of(chunk) == [events.ToolFinished("c1", "add", "3")]
