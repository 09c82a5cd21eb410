"""Asks the client to execute a tool, and answers with what the tool returned."""

from collections.abc import Generator
from typing import Any

from haystack.dataclasses import StreamingChunk, ToolCallDelta

from hayserve import BasePipelineWrapper


class PipelineWrapper(BasePipelineWrapper):
    def setup(self) -> None: ...

    def run_chat_completion(
        self, model: str, messages: list[dict[str, Any]], body: dict[str, Any]
    ) -> Generator[StreamingChunk, None, None]:
        if messages[-1]["role"] == "tool":
            yield StreamingChunk(content=f"It is {messages[-1]['content']}.", finish_reason="stop")
            return
        yield _piece(id="call_weather", tool_name="weather")
        yield _piece(arguments='{"city": ')
        yield _piece(arguments='"Paris"}')
        yield StreamingChunk(content="", finish_reason="tool_calls")


def _piece(**piece: Any) -> StreamingChunk:
    return StreamingChunk(content="", index=0, tool_calls=[ToolCallDelta(index=0, **piece)])
