"""Thinks before it answers."""

from collections.abc import Generator
from typing import Any

from haystack.dataclasses import ReasoningContent, StreamingChunk

from hayserve import BasePipelineWrapper


class PipelineWrapper(BasePipelineWrapper):
    def setup(self) -> None: ...

    def run_chat_completion(
        self, model: str, messages: list[dict[str, Any]], body: dict[str, Any]
    ) -> Generator[StreamingChunk, None, None]:
        for thought in ("Somebody ", "says hello."):
            yield StreamingChunk(
                content="", index=0, reasoning=ReasoningContent(reasoning_text=thought), start=True
            )
        yield StreamingChunk(content="Hello from hayserve.", finish_reason="stop")
