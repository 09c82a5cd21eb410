"""When a wrapper's callbacks are called, and what becomes of what they return."""

import asyncio
import queue
from collections.abc import Callable
from typing import Any

import pytest
from haystack.dataclasses import (
    ReasoningContent,
    StreamingChunk,
    TextContent,
    ToolCall,
    ToolCallDelta,
    ToolCallResult,
)

from hayserve.wrappers.callbacks import Callbacks, Reactions, said_by, said_by_async

RESULT = ToolCallResult("3", ToolCall("add", {"a": 1}, id="c1"), error=False)


def echo(*args: Any) -> Any:
    return list(args)


def said_to(reactions: Reactions, *chunks: StreamingChunk) -> list[Any]:
    return [call() for chunk in chunks for call in reactions.to(chunk)]


def calling(name: str) -> StreamingChunk:
    delta = ToolCallDelta(0, tool_name=name, id="c1")
    return StreamingChunk("", index=0, tool_calls=[delta])


def test_a_tool_call_begins_when_the_model_has_ended_its_turn() -> None:
    reactions = Reactions(Callbacks(on_tool_call_start=echo))
    more = ToolCallDelta(0, arguments='{"a": 1}')
    assert said_to(reactions, calling("add")) == []
    assert said_to(reactions, StreamingChunk("", index=0, tool_calls=[more])) == []
    assert said_to(reactions, StreamingChunk("", finish_reason="tool_calls")) == [
        ["add", {"a": 1}, "c1"]
    ]


def test_a_tool_call_begins_before_its_result_at_the_latest() -> None:
    reactions = Reactions(Callbacks(on_tool_call_start=echo, on_tool_call_end=echo))
    result = StreamingChunk("", index=0, tool_call_result=RESULT)
    assert said_to(reactions, calling("add"), result) == [
        ["add", {}, "c1"],
        ["add", {"a": 1}, "3", False],
    ]


def test_a_tool_call_without_an_id_has_none() -> None:
    reactions = Reactions(Callbacks(on_tool_call_start=echo))
    delta = ToolCallDelta(0, tool_name="add", arguments="{}")
    chunk = StreamingChunk("", index=0, tool_calls=[delta], finish_reason="tool_calls")
    assert said_to(reactions, chunk) == [["add", {}, None]]


def test_a_tool_call_that_nothing_follows_begins_at_the_end() -> None:
    reactions = Reactions(Callbacks(on_tool_call_start=echo))
    said_to(reactions, calling("add"))
    assert [call() for call in reactions.to_the_end({})] == [["add", {}, "c1"]]


def test_results_and_reasoning_are_told() -> None:
    reactions = Reactions(Callbacks(on_tool_call_end=echo, on_reasoning=echo))
    failed = ToolCallResult([TextContent("no")], ToolCall("add", {}), error=True)
    chunks = [
        StreamingChunk("", index=0, reasoning=ReasoningContent("hm", extra={"a": 1})),
        StreamingChunk("", index=0, tool_call_result=failed),
    ]
    assert said_to(reactions, *chunks) == [["hm", {"a": 1}], ["add", {}, "no", True]]


def test_without_callbacks_nothing_is_called() -> None:
    reactions = Reactions(Callbacks())
    chunks = [
        calling("add"),
        StreamingChunk("", index=0, tool_call_result=RESULT),
        StreamingChunk("", index=0, reasoning=ReasoningContent("hm")),
        StreamingChunk("a", finish_reason="stop"),
    ]
    assert said_to(reactions, *chunks) == []
    assert list(reactions.to_the_end({})) == []
    assert list(reactions.external_events()) == []


def test_the_answer_is_what_was_said_after_the_last_tool() -> None:
    reactions = Reactions(Callbacks())
    said_to(reactions, StreamingChunk("let me see"))
    assert reactions.answered
    said_to(reactions, StreamingChunk("", index=0, tool_call_result=RESULT))
    assert not reactions.answered
    said_to(reactions, StreamingChunk("", finish_reason="tool_call_results"))
    assert not reactions.answered
    said_to(reactions, StreamingChunk("3"))
    assert reactions.answered


@pytest.mark.parametrize(
    ("said", "heard"),
    [("!", ["!"]), ("", []), (None, []), (3, [])],
)
def test_a_text_from_the_end_is_a_chunk(said: object, heard: list[str]) -> None:
    def at_the_end(result: object) -> object:
        assert result == {"a": 1}
        return said

    [call] = Reactions(Callbacks(on_pipeline_end=at_the_end)).to_the_end({"a": 1})
    assert [chunk.content for chunk in said_by(call)] == heard


def test_external_events_are_given_in_order() -> None:
    for events in (queue.Queue[str](), asyncio.Queue[str]()):
        events.put_nowait("a")
        events.put_nowait("b")
        reactions = Reactions(Callbacks(external_event_queue=events))
        assert list(reactions.external_events()) == ["a", "b"]
        assert list(reactions.external_events()) == []


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        (None, []),
        ("a", ["a"]),
        ({"a": 1}, [{"a": 1}]),
        (["a", "b"], ["a", "b"]),
        (("a", "b"), ["a", "b"]),
        ([], []),
    ],
)
@pytest.mark.anyio
async def test_one_thing_or_a_list_of_things_may_be_said(said: Any, heard: list[Any]) -> None:
    async def later() -> Any:
        return said

    def now() -> Any:
        return said

    for call in (now, later):
        assert said_by(call) == heard
        assert await said_by_async(call) == heard


@pytest.mark.anyio
async def test_a_callback_that_raises_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def later() -> None:
        raise ValueError("mine")

    def now() -> None:
        raise ValueError("mine")

    calls: list[Callable[[], Any]] = [now, later]
    for call in calls:
        assert said_by(call) == []
        assert await said_by_async(call) == []
    logged = [record for record in caplog.records if record.message == "callback_failed"]
    assert len(logged) == 4
    assert all(record.exc_info for record in logged)


def test_an_async_callback_is_run_where_no_event_loop_runs() -> None:
    async def later() -> str:
        await asyncio.sleep(0)
        return "a"

    assert said_by(later) == ["a"]
