"""Wrappers that say what a test has them say, when it lets them."""

from collections.abc import AsyncGenerator
from typing import Any

import anyio
from pydantic import BaseModel, ConfigDict

from hayserve.wrappers.base import BasePipelineWrapper

# The events of a stream before the first word, and after the last.
BEFORE, AFTER = 4, 4


class Paced(BasePipelineWrapper):
    """Says a word each time that it may; a run that may not waits.

    Args:
        words: How many words a response has.
    """

    def __init__(self, words: int = 3) -> None:
        super().__init__()
        self._words = words
        self.given: list[list[dict[str, Any]]] = []

    def setup(self) -> None:
        self._may = anyio.Semaphore(0)
        self.has_begun = anyio.Event()
        self.has_stopped = anyio.Event()

    def let(self, words: int) -> None:
        """Let it say so many more."""
        for _ in range(words):
            self._may.release()

    async def run_response_async(
        self, model: str, input_items: list[dict[str, Any]], body: dict[str, Any]
    ) -> AsyncGenerator[str]:
        self.given.append(input_items)
        return self._say()

    async def _say(self) -> AsyncGenerator[str]:
        self.has_begun.set()
        try:
            for number in range(self._words):
                await self._may.acquire()
                yield f"{number} "
        finally:
            self.has_stopped.set()


class Recalls(BasePipelineWrapper):
    """Says how much it was told, and keeps what; fails where the last word is `fail`."""

    def setup(self) -> None:
        self.given: list[list[dict[str, Any]]] = []

    async def run_response_async(
        self, model: str, input_items: list[dict[str, Any]], body: dict[str, Any]
    ) -> str:
        self.given.append(input_items)
        if "fail" in str(input_items[-1]):
            raise ValueError("no model")
        return f"{len(input_items)} items"

    def texts(self) -> list[str]:
        """What it was told last, item by item."""
        return [text_in(item) for item in self.given[-1]]


class Gives(BasePipelineWrapper):
    """Yields objects in OpenAI's form that it has made itself.

    Args:
        given: Their fields.
    """

    def __init__(self, *given: dict[str, Any]) -> None:
        super().__init__()
        self._given = given

    def setup(self) -> None:
        return

    async def run_response_async(
        self, model: str, input_items: list[dict[str, Any]], body: dict[str, Any]
    ) -> AsyncGenerator[object]:
        return self._give()

    async def _give(self) -> AsyncGenerator[object]:
        for fields in self._given:
            yield Made(**fields)


class Made(BaseModel):
    """An object of any kind."""

    model_config = ConfigDict(extra="allow")

    object: str


def text_in(item: dict[str, Any]) -> str:
    """The text of a message."""
    content = item["content"]
    return content if isinstance(content, str) else str(content[0]["text"])
