"""Carries the events of one run from the code that makes them to the one reader that sends them on.

The event loop's own primitives are used, not anyio's: a run in a thread must be able to wake the
loop without waiting for it, and does so once for all events that wait, not once per event.
"""

import asyncio
import threading
from collections import deque

from hayserve.events import (
    BytesDelta,
    ClientEvent,
    Event,
    ReadyMade,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    ToolFinished,
    ToolStarted,
)

_OVERHEAD = 64


class ChannelClosed(BaseException):
    """Nobody reads the channel any more; raised in the code that emits, so that it stops.

    It is no `Exception`, so that no component takes it for a failure and tries again.
    """


class Channel:
    """A bounded queue of events with one reader on the event loop and writers anywhere.

    Args:
        capacity: How many bytes of events may wait before writers have to wait, in bytes.
    """

    def __init__(self, *, capacity: int = 256 * 1024) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._capacity = capacity
        self._lock = threading.Lock()
        self._waiting: deque[Event] = deque()
        self._size = 0
        self._readable = asyncio.Event()
        self._wake_is_on_its_way = False
        self._has_room = threading.Event()
        self._has_room.set()
        self._room_on_loop = asyncio.Event()
        self._room_on_loop.set()
        self._closed = False

    @property
    def is_closed(self) -> bool:
        return self._closed

    def emit(self, event: Event) -> None:
        """Add an event, from any thread; in a thread, wait while the channel is full.

        On the event loop it never waits: call `room()` after it.

        Raises:
            ChannelClosed: The reader has left, or the run has ended.
        """
        if threading.get_ident() == self._loop_thread:
            self._add(event)
            self._readable.set()
            return
        self._has_room.wait()
        self._add(event)
        if not self._wake_is_on_its_way:
            self._wake_is_on_its_way = True
            self._loop.call_soon_threadsafe(self._readable.set)

    async def room(self) -> None:
        """Wait until the channel is no longer full.

        Raises:
            ChannelClosed: The reader has left, or the run has ended.
        """
        await self._room_on_loop.wait()
        if self._closed:
            raise ChannelClosed

    async def receive(self) -> list[Event]:
        """All events that wait, at least one."""
        while not (taken := self._take()):
            await self._readable.wait()
        return taken

    def close(self) -> None:
        """Let writers get `ChannelClosed` from now on; what waits can still be received."""
        with self._lock:
            self._closed = True
            self._make_room()

    def _add(self, event: Event) -> None:
        size = _size_of(event)
        # Else a reader or `close` could make room between the look and the clearing, for nothing.
        with self._lock:
            if self._closed:
                raise ChannelClosed
            self._waiting.append(event)
            self._size += size
            if self._size >= self._capacity:
                self._has_room.clear()
                self._room_on_loop.clear()

    def _take(self) -> list[Event]:
        with self._lock:
            taken = list(self._waiting)
            self._waiting.clear()
            self._readable.clear()
            # Whoever adds an event after this must send a new wake.
            self._wake_is_on_its_way = False
            self._size = 0
            self._make_room()
        return taken

    def _make_room(self) -> None:
        self._has_room.set()
        self._room_on_loop.set()


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
