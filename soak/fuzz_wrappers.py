"""Wrappers that take all that requests can say, and do nothing with it."""

# Their parameters are what is read, and are never used.
# ruff: noqa: ARG002, PLR0913, PLR0917

from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

from haystack.dataclasses import ChatMessage, Document
from pydantic import BaseModel
from starlette.datastructures import UploadFile

from hayserve import BasePipelineWrapper
from hayserve.deployments.deployment import Deployment
from hayserve.wrappers.capabilities import capabilities_of


@dataclass
class Point:
    x: float
    y: int = 0


class Order(BaseModel):
    id: UUID
    when: datetime
    day: date | None = None
    amount: Decimal
    lines: list["Order"] = []
    kind: Literal["new", "old"] = "new"


class Plain(BasePipelineWrapper):
    """Takes what JSON can say, and chats."""

    def setup(self) -> None: ...

    def run_api(
        self,
        text: str,
        count: int = 0,
        ratio: float | None = None,
        *,
        order: Order | None = None,
        point: Point | None = None,
        points: list[Point] | None = None,
        messages: list[ChatMessage] | None = None,
        documents: list[Document] | None = None,
        either: int | str | list[float] | None = None,
        pair: tuple[int, str] | None = None,
        names: set[str] | None = None,
        raw: bytes = b"",
        place: Path | None = None,
        anything: Any = None,
    ) -> str:
        return text

    def run_chat_completion(
        self, model: str, messages: list[dict[str, Any]], body: dict[str, Any]
    ) -> str:
        return model

    def run_embedding(
        self, model: str, texts: list[str], body: dict[str, Any], dimensions: int | None = None
    ) -> list[list[float]]:
        return []


class Forms(BasePipelineWrapper):
    """Takes files, and answers requests for responses."""

    def setup(self) -> None: ...

    def run_api(
        self,
        files: list[UploadFile] | None = None,
        one: UploadFile | None = None,
        title: str = "",
        *,
        count: int = 0,
        options: dict[str, Any] | None = None,
        points: list[Point] | None = None,
        tags: list[str] | None = None,
        order: Order | int | None = None,
    ) -> str:
        return title

    def run_response(
        self, model: str, input_items: list[dict[str, Any]], body: dict[str, Any]
    ) -> str:
        return model


@cache
def deployed(kind: type[BasePipelineWrapper]) -> Deployment:
    """A wrapper, as it is served."""
    wrapper = kind()
    can = capabilities_of(wrapper, name="it")
    return Deployment("it", wrapper, can, loaded_at=datetime.now(UTC))
