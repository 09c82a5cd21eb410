"""Carries the events of one run from the code that makes them to the one reader that sends them on.

The event loop's own primitives are used, not anyio's: a run in a thread must be able to wake the
loop without waiting for it, and does so once for all events that wait, not once per event.
"""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context

from hayserve.events import (
    BytesDelta,
    ClientEvent,
    Closing,
    Event,
    ReadyMade,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    ToolFinished,
    ToolStarted,
)
from hayserve.wrappers.context import RunEnded

TURN_SECONDS = 0.001
_OVERHEAD = 64


class ChannelClosed(RunEnded):
    """Nobody reads the channel any more; raised in the code that emits, so that it stops."""


class Waker:
    """Wakes an event loop for threads: at once, but then no sooner than a millisecond later.

    Each time that a thread wakes the loop, Python's lock goes from one to the other and back, which
    with many threads that stream takes longer than all else. What they write within a millisecond
    is handled in one turn.

    Args:
        loop: The event loop.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._lock = threading.Lock()
        self._waiting: list[Callable[[], None]] = []
        self._is_to_come = False  # a turn, so that nobody needs to ask for one
        self._context = Context()  # of nobody's run

    def call(self, function: Callable[[], None]) -> None:
        """Have `function` called on the event loop, from any thread."""
        with self._lock:
            self._waiting.append(function)
            if self._is_to_come:
                return
            self._is_to_come = True
        self._loop.call_soon_threadsafe(self._turn, context=self._context)

    def _turn(self) -> None:
        with self._lock:
            waiting, self._waiting = self._waiting, []
            self._is_to_come = bool(waiting)
        if waiting:
            self._loop.call_later(TURN_SECONDS, self._turn, context=self._context)
        for function in waiting:
            function()


class Channel:
    """A bounded queue of events with one reader on the event loop and writers anywhere.

    The reader either awaits `receive` or, to be called without a task that is woken, `listen`s.

    Args:
        capacity: How many bytes of events may wait before writers have to wait, in bytes.
        waker: Wakes the event loop when a thread has written; by default each time.
    """

    def __init__(self, *, capacity: int = 256 * 1024, waker: "Waker | None" = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._waker = waker
        self._loop_thread = threading.get_ident()
        self._other_loop_thread = 0
        self._capacity = capacity
        self._lock = threading.Lock()
        self._waiting: list[Event] = []
        self._size = 0
        self._is_full = False
        self._has_room: threading.Condition | None = None  # made when somebody has to wait
        self._room_on_loop: asyncio.Future[None] | None = None
        self._reader: asyncio.Future[None] | None = None
        self._listener: Callable[[], None] | None = None
        self._wake_is_on_its_way = False
        self._is_closed = False

    @property
    def is_closed(self) -> bool:
        return self._is_closed

    @property
    def has_events(self) -> bool:
        return bool(self._waiting)

    @property
    def is_full(self) -> bool:
        """Whether a writer on an event loop should await `room`."""
        return self._is_full

    def write_here(self) -> None:
        """Say that the event loop of this thread, which is not the reader's, writes from now on."""
        self._other_loop_thread = threading.get_ident()

    def emit(self, event: Event) -> None:
        """Add an event, from any thread; in a thread, wait while the channel is full.

        On an event loop it never waits: call `room()` after it.

        Raises:
            ChannelClosed: The reader has left, or the run has ended.
        """
        # The commonest event first: this is called for every token.
        size = _OVERHEAD + len(event.text) if type(event) is TextDelta else _size_of(event)
        thread = threading.get_ident()
        is_on_loop = thread == self._loop_thread
        with self._lock:
            if self._is_full and not is_on_loop and thread != self._other_loop_thread:
                self._wait_for_room()
            if self._is_closed:
                raise ChannelClosed
            self._waiting.append(event)
            self._size += size
            self._is_full = self._size >= self._capacity
            if self._wake_is_on_its_way:
                return
            self._wake_is_on_its_way = True
        if is_on_loop:
            self._loop.call_soon(self._wake)
        elif self._waker is None:
            self._loop.call_soon_threadsafe(self._wake)
        else:
            self._waker.call(self._wake)

    def end(self, closing: Closing) -> bool:
        """Add the closing event, on the event loop; writers get `ChannelClosed` from now on.

        Returns:
            Whether this is the end: a channel has only one, the first.
        """
        with self._lock:
            if self._is_closed:
                return False
            self._waiting.append(closing)
            self._is_closed = True
            self._make_room()
        self._wake()
        return True

    def close(self) -> None:
        """Let writers get `ChannelClosed` from now on; what waits can still be received."""
        with self._lock:
            self._is_closed = True
            self._make_room()

    async def room(self) -> None:
        """Wait until the channel is no longer full, on the event loop that writes.

        Raises:
            ChannelClosed: The reader has left, or the run has ended.
        """
        while (room := self._room_to_come()) is not None:
            await asyncio.shield(room)
        if self._is_closed:
            raise ChannelClosed

    def _room_to_come(self) -> asyncio.Future[None] | None:
        with self._lock:
            if self._is_closed or not self._is_full:
                return None
            if self._room_on_loop is None:
                self._room_on_loop = asyncio.get_running_loop().create_future()
            return self._room_on_loop

    async def receive(self) -> list[Event]:
        """All events that wait, at least one."""
        while not self._waiting:
            self._reader = self._loop.create_future()
            await self._reader
        return self.take()

    def listen(self, listener: Callable[[], None]) -> None:
        """Have `listener` called on the event loop whenever there is something to `take`."""
        self._listener = listener
        if self._waiting:
            self._loop.call_soon(self._wake)

    def take(self) -> list[Event]:
        """All events that wait, perhaps none."""
        with self._lock:
            taken, self._waiting = self._waiting, []
            self._size = 0
            if self._is_full:
                self._make_room()
        return taken

    def _wake(self) -> None:
        # Whoever adds an event after this sends a new wake.
        self._wake_is_on_its_way = False
        if self._reader is not None:
            if not self._reader.done():
                self._reader.set_result(None)
            self._reader = None
        if self._listener is not None:
            self._listener()

    def _wait_for_room(self) -> None:
        """Called in a thread, with the lock held."""
        if self._has_room is None:
            self._has_room = threading.Condition(self._lock)
        while self._is_full:
            self._has_room.wait()

    def _make_room(self) -> None:
        """Called with the lock held, on the event loop."""
        self._is_full = False
        if self._has_room is not None:
            self._has_room.notify_all()
        room, self._room_on_loop = self._room_on_loop, None
        if room is None:
            return
        loop = room.get_loop()
        if loop is self._loop:
            room.set_result(None)
        else:
            with suppress(RuntimeError):  # that loop has ended
                loop.call_soon_threadsafe(room.set_result, None)


def _size_of(event: Event) -> int:
    match event:
        case TextDelta(text=text) | ReasoningDelta(text=text) | ToolFinished(result=text):
            return _OVERHEAD + len(text)
        case BytesDelta(data=data):
            return _OVERHEAD + len(data)
        case ToolCallDelta(arguments=arguments):
            return _OVERHEAD + len(arguments)
        case ToolStarted(arguments=content) | ClientEvent(data=content) | ReadyMade(data=content):
            return _OVERHEAD + len(repr(content))
        case _:
            return _OVERHEAD
