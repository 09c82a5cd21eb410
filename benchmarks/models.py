"""Models and a tool that cost next to nothing, for the wrappers that both servers load."""

import asyncio
import time
from collections.abc import Iterator
from typing import Any

from haystack import component
from haystack.components.generators.chat import MockChatGenerator
from haystack.dataclasses import ChatMessage, ComponentInfo, StreamingChunk, ToolCall
from haystack.tools import ToolsType
from haystack.tools.tool import Tool

from benchmarks.calls import TOKEN, TOKENS

REPLY = TOKEN * TOKENS


@component
class PacedChatGenerator:
    """A model that thinks, and then says a token at a time.

    Args:
        tokens: How many tokens it says.
        pause: The seconds before each of them.
        thinking: The seconds before the first pause.
    """

    def __init__(self, *, tokens: int = TOKENS, pause: float = 0.01, thinking: float = 0.0) -> None:
        self.tokens = tokens
        self.pause = pause
        self.thinking = thinking

    @component.output_types(replies=list[ChatMessage])
    def run(
        self,
        messages: list[ChatMessage],
        streaming_callback: Any = None,
        *,
        tools: ToolsType | None = None,
    ) -> dict[str, Any]:
        time.sleep(self.thinking)
        for chunk in self._chunks():
            time.sleep(self.pause)
            if streaming_callback is not None:
                streaming_callback(chunk)
        return self._reply()

    @component.output_types(replies=list[ChatMessage])
    async def run_async(
        self,
        messages: list[ChatMessage],
        streaming_callback: Any = None,
        *,
        tools: ToolsType | None = None,
    ) -> dict[str, Any]:
        await asyncio.sleep(self.thinking)
        for chunk in self._chunks():
            await asyncio.sleep(self.pause)
            if streaming_callback is not None:
                given = streaming_callback(chunk)
                if given is not None:
                    await given
        return self._reply()

    def _chunks(self) -> Iterator[StreamingChunk]:
        """Each is made when it is due, as from a real model."""
        source = ComponentInfo.from_component(self)
        for number in range(self.tokens):
            yield StreamingChunk(
                content=TOKEN,
                component_info=source,
                index=0,
                start=number == 0,
                finish_reason="stop" if number == self.tokens - 1 else None,
            )

    def _reply(self) -> dict[str, list[ChatMessage]]:
        text = TOKEN * self.tokens
        return {"replies": [ChatMessage.from_assistant(text, meta={"finish_reason": "stop"})]}


def fast_model() -> MockChatGenerator:
    """Haystack's own stand-in for a model: 200 tokens as fast as they can be taken."""
    return MockChatGenerator(REPLY)


def tool_caller() -> MockChatGenerator:
    """The same, but it calls a tool first."""
    return MockChatGenerator(response_fn=_tool_first)


def add_tool() -> Tool:
    """A tool that is done at once."""
    number = {"type": "integer"}
    return Tool(
        name="add",
        description="Adds two numbers.",
        parameters={"type": "object", "properties": {"a": number, "b": number}},
        function=_add,
    )


def _add(a: int, b: int) -> int:
    return a + b


def _tool_first(messages: list[ChatMessage]) -> ChatMessage:
    if messages[-1].tool_call_results:
        return ChatMessage.from_assistant(REPLY)
    call = ToolCall(tool_name="add", arguments={"a": 4, "b": 5}, id="call_0")
    return ChatMessage.from_assistant(tool_calls=[call])
