"""Fails in the middle of its answer."""

from collections.abc import Generator
from typing import Any

from hayserve import BasePipelineWrapper


class PipelineWrapper(BasePipelineWrapper):
    def setup(self) -> None: ...

    def run_chat_completion(
        self, model: str, messages: list[dict[str, Any]], body: dict[str, Any]
    ) -> Generator[str, None, None]:
        yield "Hello "
        raise RuntimeError("the model is gone")
