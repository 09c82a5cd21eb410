"""A run that is under way, as its caller sees it."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from math import inf
from typing import Any

import anyio

from hayserve.events import Closing, Event, RunCancelled, StreamOpened
from hayserve.runs.channel import Channel, Waker
from hayserve.runs.run import Run
from hayserve.wrappers.context import RunContext


class LiveRun:
    """What its caller holds of a run: its events, and the way to stop it.

    Whoever starts a run either reads it to its closing event or cancels it. Its code may still be
    under way after the closing event: nothing can end a thread.

    Args:
        run: The run.
        context: What its code knows of it.
        started: When it came, by the event loop's clock.
        waker: Wakes the event loop when a thread of it has said something.
        on_stop: Called when it is stopped before its code has ended.
    """

    __slots__ = (
        "_on_stop",
        "channel",
        "closing",
        "context",
        "may_last",
        "parts",
        "run",
        "started",
        "task",
        "when_lasting",
    )

    def __init__(
        self,
        run: Run,
        *,
        context: RunContext | None = None,
        started: float = 0.0,
        waker: Waker | None = None,
        on_stop: Callable[["LiveRun"], object] = lambda _: None,
    ) -> None:
        self.run = run
        self.context = context or RunContext(run.id)
        self.channel = Channel(waker=waker)
        self.started = started
        self.may_last = inf  # in seconds
        self.when_lasting: Callable[[], object] | None = None  # called if it takes a moment
        self.closing: Closing | None = None
        self.parts = 0  # how much of its code is under way: a task, a thread, or both
        self.task: asyncio.Task[Any] | None = None  # what is cancelled when the run is stopped
        self._on_stop = on_stop

    @property
    def survives(self) -> bool:
        """Whether it goes on when its caller leaves."""
        return self.run.survives

    def end(self, closing: Closing) -> bool:
        """Close the run, unless it is closed already."""
        if self.closing is not None:
            return False
        # Before the channel: a thread that is told there looks here whether it was stopped.
        self.closing = closing
        self.channel.end(closing)
        return True

    def stop(self, closing: Closing) -> bool:
        """Close the run before its code has ended, and have that stop as soon as it can.

        A task is cancelled once, so that it can clean up; a thread stops at its next event or at
        the next step of its agent or pipeline.

        Returns:
            Whether this was its end: False if it had ended before.
        """
        if not self.end(closing):
            return False
        self.context.is_stopped = True
        task = self.task
        if task is not None:
            _cancel(task)
        self._on_stop(self)
        return True

    def lasts(self) -> None:
        """Say, once, that the run takes longer than most plain answers do."""
        if self.when_lasting is not None:
            called, self.when_lasting = self.when_lasting, None
            called()

    def cancel(self, reason: str = "cancelled") -> bool:
        """Stop the run if it is still under way."""
        return self.stop(RunCancelled(reason))

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


def _cancel(task: asyncio.Task[Any]) -> None:
    """Cancel a task, which may be on an event loop of its own."""
    loop = task.get_loop()
    if loop is asyncio.get_running_loop():
        task.cancel()
    else:
        with suppress(RuntimeError):  # that loop has ended
            loop.call_soon_threadsafe(task.cancel)


def has_closed(events: Sequence[Event]) -> bool:
    """Whether the last of `events` is a closing event."""
    return bool(events) and isinstance(events[-1], Closing)
