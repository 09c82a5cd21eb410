"""Streams from `/run`: as plain text, or as server-sent events."""
# pyright: basic, reportMissingImports=false

from collections.abc import Generator
from typing import Any

from hayhooks import BasePipelineWrapper, SSEStream
from hayhooks.open_webui import create_message_event
from haystack.dataclasses import StreamingChunk


class PipelineWrapper(BasePipelineWrapper):
    def setup(self) -> None:
        pass

    def run_api(self, up_to: int, sse: bool = False) -> Generator[Any, None, None]:
        numbers = self.count(up_to)
        return SSEStream(numbers) if sse else numbers

    def count(self, up_to: int) -> Generator[Any, None, None]:
        yield create_message_event("Counting")
        for number in range(1, up_to + 1):
            yield StreamingChunk(content=f"{number} ")
