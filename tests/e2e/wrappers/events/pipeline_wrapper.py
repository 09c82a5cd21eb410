"""Says what it does beside its answer."""

from collections.abc import Generator
from typing import Any

from hayserve import BasePipelineWrapper
from hayserve.wrappers.client_events import PipelineEvent, create_status_event


class PipelineWrapper(BasePipelineWrapper):
    def setup(self) -> None: ...

    def run_chat_completion(
        self, model: str, messages: list[dict[str, Any]], body: dict[str, Any]
    ) -> Generator[str | PipelineEvent, None, None]:
        yield create_status_event("Searching")
        yield "Hello from "
        yield create_status_event("Found", done=True)
        yield "hayserve."
