"""Counts who uses a deployment, so that it can be closed when nobody does."""

from contextlib import AbstractContextManager

import anyio


class Uses:
    """How many requests and runs hold one deployment.

    Everything here belongs on the event loop: a run in a thread gives back through the loop.
    """

    __slots__ = ("_count", "_waiting")

    def __init__(self) -> None:
        self._count = 0
        self._waiting: list[anyio.Event] = []

    @property
    def count(self) -> int:
        return self._count

    def take(self) -> None:
        self._count += 1

    def give_back(self) -> None:
        self._count -= 1
        if not self._count and self._waiting:
            for unused in self._waiting:
                unused.set()
            self._waiting.clear()

    def held(self) -> AbstractContextManager[None]:
        """Take it for as long as a block lasts."""
        return self

    def __enter__(self) -> None:
        self.take()

    def __exit__(self, *_: object) -> None:
        self.give_back()

    async def wait_unused(self) -> None:
        """Return when nobody holds it, at once if nobody does."""
        while self._count:
            unused = anyio.Event()
            self._waiting.append(unused)
            await unused.wait()
