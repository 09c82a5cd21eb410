"""Wakes whoever waits for a change in the database, or in this process."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import anyio.to_thread

from hayserve.storage.database import Database
from hayserve.storage.watch import Watch, watch

_LONGEST_WAIT_SECONDS = 1.0


class Beat:
    """The next time that something has changed."""

    def __init__(self, event: asyncio.Event) -> None:
        self._event = event

    async def wait(self, seconds: float) -> None:
        """Return when it has come, or after so many seconds."""
        with anyio.move_on_after(seconds):
            await self._event.wait()


class Pulse:
    """Beats whenever something has changed.

    Whoever follows takes the next beat first, then looks, then waits for the beat: so no change
    falls between looking and waiting.

    Args:
        database: What is watched.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._event = asyncio.Event()

    def next(self) -> Beat:
        return Beat(self._event)

    def beat(self) -> None:
        """Wake all who wait."""
        self._event.set()
        self._event = asyncio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Beat when the database changes, for as long as the block lasts."""
        watching = await anyio.to_thread.run_sync(watch, self._database)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._follow, watching)
            try:
                yield
            finally:
                watching.close()
                tasks.cancel_scope.cancel()

    async def _follow(self, watching: Watch) -> None:
        limiter = anyio.CapacityLimiter(1)
        while True:
            changed = await anyio.to_thread.run_sync(
                watching.wait, _LONGEST_WAIT_SECONDS, abandon_on_cancel=True, limiter=limiter
            )
            if changed:
                self.beat()
