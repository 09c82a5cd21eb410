"""A run that is under way, as its caller sees it."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import anyio

from hayserve.events import Closing, Event, StreamOpened
from hayserve.runs.channel import Channel
from hayserve.runs.run import Run


class Scope(Protocol):
    """What `LiveRun` needs of a cancel scope."""

    @property
    def cancel_called(self) -> bool: ...

    def cancel(self) -> None: ...


class Stop:
    """Cancels the task of a run, once, whatever it awaits.

    A cancel scope would cancel again and again what the wrapper awaits to clean up.
    """

    def __init__(self) -> None:
        self._task: asyncio.Task[Any] | None = None
        self._called = False

    @property
    def cancel_called(self) -> bool:
        return self._called

    def __enter__(self) -> None:
        self._task = asyncio.current_task()

    def __exit__(self, *_: object) -> None:
        self._task = None

    def cancel(self) -> None:
        if self._task is not None and not self._called:
            self._task.cancel()
        self._called = True


@dataclass(frozen=True, slots=True)
class LiveRun:
    """What its caller holds of a run: its events, and the way to stop it.

    Whoever starts a run either reads it to its closing event or cancels it.
    """

    run: Run
    channel: Channel
    scope: Scope

    async def opening(self, *, grace: float) -> list[Event]:
        """The first events: at least one, and one that says something if it comes in time.

        A stream that fails before it says anything can so be answered with a proper status.

        Args:
            grace: How long to wait for that once the stream has opened, in seconds.
        """
        events = await self.channel.receive()
        if isinstance(events[-1], StreamOpened):
            with anyio.move_on_after(grace):
                events += await self.channel.receive()
        return events

    async def all_events(self) -> list[Event]:
        """Every event, the closing event last; the run is cancelled if the caller is."""
        events: list[Event] = []
        try:
            while not has_closed(events):
                events += await self.channel.receive()
        finally:
            self.cancel()
        return events

    def cancel(self) -> None:
        """Stop the run if it is still under way; nobody will read its events any more."""
        self.channel.close()
        self.scope.cancel()


def has_closed(events: Sequence[Event]) -> bool:
    """Whether the last of `events` is a closing event."""
    return bool(events) and isinstance(events[-1], Closing)
