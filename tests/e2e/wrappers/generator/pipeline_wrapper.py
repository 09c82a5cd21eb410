"""Yields its answer piece by piece."""

from collections.abc import Generator
from typing import Any

from hayserve import BasePipelineWrapper


class PipelineWrapper(BasePipelineWrapper):
    def setup(self) -> None: ...

    def run_chat_completion(
        self, model: str, messages: list[dict[str, Any]], body: dict[str, Any]
    ) -> Generator[str, None, None]:
        yield from ("Hello ", "from ", "hayserve.")
