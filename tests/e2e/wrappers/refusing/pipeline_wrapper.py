"""Refuses to answer."""

from typing import Any

from starlette.exceptions import HTTPException

from hayserve import BasePipelineWrapper


class PipelineWrapper(BasePipelineWrapper):
    def setup(self) -> None: ...

    def run_chat_completion(
        self, model: str, messages: list[dict[str, Any]], body: dict[str, Any]
    ) -> str:
        raise HTTPException(403, "Not for you.")
