"""The model that says what a script tells it."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import anyio.to_thread
import pytest
from haystack import Pipeline
from haystack.components.agents import Agent
from haystack.dataclasses import ChatMessage, StreamingChunk, ToolCall

from hayserve.testing import Reply, ScriptedChatGenerator, ScriptEnded

USER = [ChatMessage.from_user("hello you")]
CALL = ToolCall("add", {"a": 1, "b": 2}, id="c1")


async def call_sync(model: ScriptedChatGenerator, **options: Any) -> ChatMessage:
    return (await anyio.to_thread.run_sync(lambda: model.run(USER, **options)))["replies"][0]


async def call_async(model: ScriptedChatGenerator, **options: Any) -> ChatMessage:
    return (await model.run_async(USER, **options))["replies"][0]


calls = pytest.mark.parametrize("call", [call_sync, call_async])
Call = Callable[..., Any]


@pytest.mark.anyio
@calls
async def test_replies_come_in_order(call: Call) -> None:
    model = ScriptedChatGenerator(["one", Reply("two", finish_reason="length")])
    assert (await call(model)).text == "one"
    second = await call(model)
    assert (second.text, second.meta["finish_reason"]) == ("two", "length")
    assert model.received == [USER, USER]


@pytest.mark.anyio
@calls
@pytest.mark.parametrize("script", [[], ["one"]])
async def test_a_script_ends(call: Call, script: list[str]) -> None:
    model = ScriptedChatGenerator(script)
    for _ in script:
        await call(model)
    with pytest.raises(ScriptEnded, match=f"{len(script) + 1} times .* {len(script)} replies"):
        await call(model)


@pytest.mark.anyio
@calls
async def test_a_script_may_begin_again(call: Call) -> None:
    model = ScriptedChatGenerator(["one", "two"], loop=True)
    assert [(await call(model)).text for _ in range(5)] == ["one", "two", "one", "two", "one"]


def test_a_script_without_replies_cannot_begin_again() -> None:
    with pytest.raises(ScriptEnded):
        ScriptedChatGenerator([], loop=True).run(USER)


@pytest.mark.anyio
@calls
async def test_words_are_streamed_one_by_one(call: Call) -> None:
    chunks: list[StreamingChunk] = []
    model = ScriptedChatGenerator([Reply(" one  two\n", reasoning="let me")])
    await call(model, streaming_callback=chunks.append)
    assert [chunk.reasoning.reasoning_text for chunk in chunks if chunk.reasoning] == ["let ", "me"]
    assert "".join(chunk.content for chunk in chunks) == " one  two\n"
    assert [chunk.start for chunk in chunks].count(True) == 1
    assert chunks[-1].finish_reason == "stop"
    assert all(chunk.component_info for chunk in chunks)


@pytest.mark.anyio
async def test_an_async_callback_is_awaited() -> None:
    said: list[str] = []

    async def take(chunk: StreamingChunk) -> None:
        await asyncio.sleep(0)
        said.append(chunk.content)

    await ScriptedChatGenerator(["one two"]).run_async(USER, streaming_callback=take)
    assert said == ["one ", "two", ""]


@pytest.mark.parametrize("line", [CALL, [CALL], Reply(tool_calls=(CALL,))])
def test_tool_calls_come_in_pieces_the_name_first(line: Any) -> None:
    chunks: list[StreamingChunk] = []
    message = ScriptedChatGenerator([line]).run(USER, chunks.append)["replies"][0]
    assert message.tool_calls == [CALL]
    assert message.text is None
    deltas = [delta for chunk in chunks for delta in chunk.tool_calls or []]
    assert [(delta.tool_name, delta.id, delta.arguments) for delta in deltas] == [
        ("add", "c1", None),
        (None, None, '{"a": 1,'),
        (None, None, ' "b": 2}'),
    ]
    assert chunks[-1].finish_reason == "tool_calls"


@pytest.mark.anyio
@calls
async def test_a_failure_comes_after_what_was_said(call: Call) -> None:
    chunks: list[StreamingChunk] = []
    model = ScriptedChatGenerator([Reply("one two", fails_with=ValueError("no")), OSError("net")])
    with pytest.raises(ValueError, match="no"):
        await call(model, streaming_callback=chunks.append)
    assert [chunk.content for chunk in chunks] == ["one ", "two"]
    with pytest.raises(OSError, match="net"):
        await call(model)


@pytest.mark.anyio
@calls
async def test_pieces_come_at_a_pace(call: Call) -> None:
    model = ScriptedChatGenerator(["one two three"], pace=0.01)
    begun = time.perf_counter()
    await call(model)
    assert time.perf_counter() - begun >= 0.04  # three words and the end


def test_usage_is_what_was_heard_and_said() -> None:
    message = ScriptedChatGenerator(["one two three"]).run(USER)["replies"][0]
    assert message.meta["usage"] == {
        "prompt_tokens": 2,
        "completion_tokens": 3,
        "total_tokens": 5,
    }


def test_it_works_in_a_pipeline_that_is_written_down() -> None:
    script = ["one", CALL, Reply("two", reasoning="hm", finish_reason="length")]
    pipeline = Pipeline()
    pipeline.add_component("llm", ScriptedChatGenerator(script, pace=0.001, loop=True))
    written = pipeline.dumps()
    again = Pipeline.loads(written, allowed_modules=["hayserve"])
    assert again.dumps() == written
    replies = [again.run({"messages": USER})["llm"]["replies"][0] for _ in range(4)]
    assert [reply.text for reply in replies] == ["one", None, "two", "one"]
    assert replies[1].tool_calls == [CALL]
    assert replies[2].reasoning.reasoning_text == "hm"


def test_a_failure_that_is_written_down_keeps_its_text() -> None:
    data = ScriptedChatGenerator([ValueError("no")]).to_dict()
    with pytest.raises(RuntimeError, match="no"):
        ScriptedChatGenerator.from_dict(data).run(USER)


@pytest.mark.anyio
async def test_it_works_in_an_agent() -> None:
    agent = Agent(chat_generator=ScriptedChatGenerator(["one", "two"]))
    assert agent.run(messages=USER)["last_message"].text == "one"
    assert (await agent.run_async(messages=USER))["last_message"].text == "two"
