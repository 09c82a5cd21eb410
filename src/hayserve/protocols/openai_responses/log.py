"""The events of one stream, from its first to its last, for any number of readers at any time."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

import anyio

from hayserve.errors import HayserveError, StorageUnavailable
from hayserve.events import BytesDelta, Closing, Event, RunCancelled, RunFinished
from hayserve.kept.stream_pages import Place, StreamPage
from hayserve.protocols.json_bytes import to_json
from hayserve.protocols.openai_error import failure_of
from hayserve.protocols.openai_responses.response_object import error_of
from hayserve.protocols.sse import KEEP_ALIVE, KEEP_ALIVE_SECONDS
from hayserve.runs.channel import Channel, ChannelClosed

# How many pages of a stream its readers share.
SHARED_PAGES = 4
# How long who reads waits when the database does not answer.
RETRY_SECONDS = 1.0
_END = b"\n\n"


class _Refilled(Channel):
    """Lets who writes know when its reader has taken something."""

    def __init__(self) -> None:
        super().__init__()
        self.refill: Callable[[], object] | None = None  # while there is more than it has room for

    def take(self) -> list[Event]:
        taken = super().take()
        if self.refill is not None:
            # Not at once: what is taken is not sent yet.
            asyncio.get_running_loop().call_soon(self.refill)
        return taken


class Reader:
    """One who reads a log, as `EventStreamResponse` has it.

    Args:
        on_left: Called when its client has left.
        keep_alive: What its client is sent when it was told nothing for long.
    """

    survives = False

    def __init__(
        self, on_left: Callable[[], object] = lambda: None, *, keep_alive: bytes = KEEP_ALIVE
    ) -> None:
        self.keep_alive = keep_alive
        self._channel = _Refilled()
        self.channel: Channel = self._channel
        # Once it is known how it ends, although it may have much to take before that.
        self.closing: Closing | None = None
        self.next = 0  # the number of the event that it is to be told next
        self._on_left = on_left
        self._has_ended = False
        self._listening: asyncio.Handle | None = None

    @property
    def has_ended(self) -> bool:
        """Whether it is told nothing more."""
        return self._has_ended

    def when_taken(self, called: Callable[[], object] | None) -> None:
        """Have `called` whenever it has taken what it was told; None for no more of that."""
        self._channel.refill = called

    def know_end(self) -> None:
        """Tell it that nothing comes but what there is; who does not take that is given up."""
        if self.closing is None:
            self.closing = RunFinished(None)

    def end(self, closing: Closing) -> bool:
        """Tell it that there is no more; whether nobody had done so."""
        if self._has_ended:
            return False
        self._has_ended = True
        self.closing = closing
        self._channel.refill = None
        return self._channel.end(closing)

    def cancel(self, reason: str = "cancelled") -> bool:
        """Let it read no more."""
        has_left = self.end(RunCancelled(reason))
        if has_left:
            self._on_left()
        return has_left

    @property
    def when_lasting(self) -> Callable[[], object] | None:
        return None

    @when_lasting.setter
    def when_lasting(self, called: Callable[[], object] | None) -> None:
        """Who reads does so for long, from the beginning."""
        if self._listening is not None:
            self._listening.cancel()
        if called is not None:
            self._listening = asyncio.get_running_loop().call_soon(called)


class Log:
    """What was said of a response so far, and who is to hear the rest.

    Everything here belongs on the event loop. A reader that is slow holds nobody up: what it has
    not taken yet is here anyway, and it is given no more of it than its channel has room for.
    """

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.is_over = False
        self._readers: list[Reader] = []

    @property
    def is_behind(self) -> bool:
        """Whether somebody has much to take of what was said."""
        return any(reader.channel.is_full for reader in self._readers)

    def add(self, data: bytes) -> None:
        """Add events, as they are sent."""
        self.frames += split(data)
        self._readers = [reader for reader in self._readers if self._tell(reader)]

    def end(self) -> None:
        """Say that there is no more."""
        self.is_over = True
        readers, self._readers = self._readers, []
        for reader in readers:
            self._tell(reader)

    def read(self, reader: Reader, *, start: int) -> None:
        """Give a reader the events from the one with the number `start` on, and all to come.

        That one may be still to come.
        """
        reader.next = start
        if self._tell(reader) and not self.is_over:
            self._readers.append(reader)

    def _tell(self, reader: Reader) -> bool:
        """Give it what it has room for; whether it is still there."""
        if reader.has_ended:
            return False
        channel = reader.channel
        while reader.next < len(self.frames) and not channel.is_full:
            channel.emit(BytesDelta(self.frames[reader.next]))
            reader.next += 1
        is_behind = reader.next < len(self.frames)
        reader.when_taken(partial(self._tell, reader) if is_behind else None)
        if self.is_over:
            reader.know_end()
            if not is_behind:
                reader.end(RunFinished(None))
        return not reader.has_ended


class KeptStream:
    """A stream as the database has it, for any number of readers, none of which has much of it.

    Pages that were read are shared. Only who follows the stream looks for more at its end, however
    many wait for that.

    Args:
        read: Reads the page at a place; None if there is nothing yet.
    """

    def __init__(self, read: Callable[[Place], Awaitable[StreamPage | None]]) -> None:
        self.is_over = False
        self.news = anyio.Event()
        self._read = read
        self._readers: set[Reader] = set()
        self._end: Place | None = None  # where there was nothing when that was last looked at
        self._pages: dict[Place, StreamPage] = {}
        self._lock = anyio.Lock()

    @property
    def is_read(self) -> bool:
        """Whether anybody reads it."""
        return bool(self._readers)

    def join(self, reader: Reader) -> None:
        """Count a reader, until it leaves."""
        self._readers.add(reader)
        if self.is_over:
            reader.know_end()

    def leave(self, reader: Reader) -> None:
        """Count a reader no longer."""
        self._readers.discard(reader)

    async def page(self, place: Place) -> StreamPage | None:
        """The page at a place; None if there is nothing yet.

        Raises:
            StorageUnavailable: The database does not answer.
        """
        async with self._lock:
            if place == self._end:
                return None
            return await self._page(place)

    async def grow(self, place: Place) -> Place:
        """Read what is new from a place on; gives where that ends.

        Raises:
            StorageUnavailable: The database does not answer.
        """
        while True:
            async with self._lock:
                page = await self._page(place)
                self._end = place if page is None else None
            if page is None:
                return place
            place = page.after
            self._tell()

    def end(self) -> None:
        """Say that nothing comes any more but what can be read."""
        self.is_over = True
        for reader in self._readers:
            reader.know_end()
        self._tell()

    async def _page(self, place: Place) -> StreamPage | None:
        if place in self._pages:
            return self._pages[place]
        page = await self._read(place)
        if page is not None:
            self._pages[place] = page
            if len(self._pages) > SHARED_PAGES:
                del self._pages[next(iter(self._pages))]
        return page

    def _tell(self) -> None:
        self.news.set()
        self.news = anyio.Event()


class Rest:
    """What one reader has not been given yet of a stream that is kept.

    Args:
        stream: The stream.
        place: Where to begin to read.
        start: The number of the first event that the reader is told.
    """

    def __init__(self, stream: KeptStream, place: Place, *, start: int) -> None:
        self.stream = stream
        self._place = place
        self._skipped = start - place.number
        self._reading = anyio.CancelScope()
        # What keeps its connection alive may not come within an event, so it comes from here.
        self.reader = Reader(self._reading.cancel, keep_alive=b"")
        stream.join(self.reader)

    async def give(self) -> None:
        """Give the reader as much as it has room for, until it has all or has left."""
        try:
            with self._reading, suppress(ChannelClosed):
                while not self.reader.has_ended:
                    await self._give_more()
        finally:
            self.stream.leave(self.reader)
            self.reader.end(RunFinished(None))

    async def _give_more(self) -> None:
        is_over, news = self.stream.is_over, self.stream.news
        try:
            page = await self.stream.page(self._place)
        except StorageUnavailable:  # which is logged; it goes on from there
            await anyio.sleep(RETRY_SECONDS)
            return
        if page is not None:
            self._place = page.after
            if data := self._unskipped(page.data):
                self.reader.channel.emit(BytesDelta(data))
            await self.reader.channel.room()
        elif is_over:
            self.reader.end(RunFinished(None))
        else:
            await _come(news, self.reader)

    def _unskipped(self, data: bytes) -> bytes:
        begin = 0
        while self._skipped:
            end = data.find(_END, begin)
            if end < 0:
                return b""
            begin = end + len(_END)
            self._skipped -= 1
        return data[begin:]


async def _come(news: anyio.Event, reader: Reader) -> None:
    """Return when there is news; until then let the connection not seem dead."""
    while not news.is_set():
        with anyio.move_on_after(KEEP_ALIVE_SECONDS):
            await news.wait()
            return
        # In the order of the events, so that it is never within one.
        reader.channel.emit(BytesDelta(KEEP_ALIVE))


class AsItIs:
    """Sends what a log has; if the reading is broken off, why.

    Args:
        response: The response object, to say that with.
        start: The number of the first event.
    """

    def __init__(self, response: Mapping[str, Any] | None = None, *, start: int = 0) -> None:
        self._response = response
        self._next = start
        self._is_within = False

    @property
    def is_within(self) -> bool:
        """Whether the event that was sent last is not whole yet."""
        return self._is_within

    def encode(self, event: Event) -> bytes:
        if isinstance(event, BytesDelta):
            if event.data is not KEEP_ALIVE:
                self._next += event.data.count(_END)
                self._is_within = not event.data.endswith(_END)
            return event.data
        failure = failure_of(event)
        return b"" if failure is None else self._failed(failure)

    def _failed(self, error: HayserveError) -> bytes:
        if self._response is not None:
            response = {**self._response, "status": "failed", "error": error_of(error)}
            return last_event(response, number=self._next)
        data = {"code": error.code, "message": str(error), "param": error.param}
        return _named("error", self._next, data)


def last_event(response: Mapping[str, Any], *, number: int) -> bytes:
    """The event that ends the stream of a response that came to nothing."""
    return _named("response.failed", number, {"response": response})


def _named(kind: str, number: int, fields: Mapping[str, Any]) -> bytes:
    data = to_json({"type": kind, "sequence_number": number, **fields})
    return b"event: %s\ndata: %s\n\n" % (kind.encode(), data)


def split(data: bytes) -> list[bytes]:
    """The events in `data`; JSON has no empty line in it."""
    return [frame + _END for frame in data.split(_END)[:-1]]
