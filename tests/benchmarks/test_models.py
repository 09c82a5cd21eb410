"""The models of the benchmark's wrappers."""

import pytest
from haystack.components.agents import Agent
from haystack.dataclasses import ChatMessage, StreamingChunk

from benchmarks.calls import TOKEN
from benchmarks.models import REPLY, PacedChatGenerator, add_tool, tool_caller

HELLO = [ChatMessage.from_user("Hello")]


def test_a_paced_model_says_its_tokens_one_by_one() -> None:
    chunks: list[StreamingChunk] = []
    model = PacedChatGenerator(tokens=3, pause=0)
    reply = model.run(HELLO, chunks.append)["replies"][0]

    assert reply.text == TOKEN * 3
    assert [chunk.content for chunk in chunks] == [TOKEN] * 3
    assert [chunk.start for chunk in chunks] == [True, False, False]
    assert [chunk.finish_reason for chunk in chunks] == [None, None, "stop"]


@pytest.mark.anyio
async def test_an_agent_runs_it_with_either_kind_of_callback() -> None:
    agent = Agent(chat_generator=PacedChatGenerator(tokens=3, pause=0))
    chunks: list[StreamingChunk] = []

    async def take(chunk: StreamingChunk) -> None:
        chunks.append(chunk)

    await agent.run_async(messages=HELLO, streaming_callback=take)
    found = await agent.run_async(messages=HELLO, streaming_callback=chunks.append)

    assert found["last_message"].text == TOKEN * 3
    assert len(chunks) == 6


def test_the_tool_is_called_once_before_the_answer() -> None:
    found = Agent(chat_generator=tool_caller(), tools=[add_tool()]).run(messages=HELLO)

    assert found["last_message"].text == REPLY
    assert [m.tool_call_result.result for m in found["messages"] if m.tool_call_result] == ["9"]
