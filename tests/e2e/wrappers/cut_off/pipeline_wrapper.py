"""Says as much as it may, which is not all."""

from collections.abc import Generator
from typing import Any

from haystack.dataclasses import StreamingChunk

from hayserve import BasePipelineWrapper


class PipelineWrapper(BasePipelineWrapper):
    def setup(self) -> None: ...

    def run_chat_completion(
        self, model: str, messages: list[dict[str, Any]], body: dict[str, Any]
    ) -> Generator[StreamingChunk, None, None]:
        yield StreamingChunk(content="Hello from ")
        yield StreamingChunk(content="hay", finish_reason="length")
