"""The events of one stream, from its first to its last, for any number of readers at any time."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hayserve.errors import HayserveError
from hayserve.events import BytesDelta, Closing, Event, RunCancelled, RunFinished
from hayserve.protocols.json_bytes import to_json
from hayserve.protocols.openai_error import failure_of
from hayserve.protocols.openai_responses.response_object import error_of
from hayserve.runs.channel import Channel, ChannelClosed

_END = b"\n\n"


class Reader:
    """One who reads a log, as `EventStreamResponse` has it.

    Args:
        on_left: Called when its client has left.
    """

    survives = False

    def __init__(self, on_left: Callable[[], object] = lambda: None) -> None:
        self.channel = Channel()
        self.closing: Closing | None = None
        self.next = 0  # the number of the event that it is to be told next
        self._on_left = on_left
        self._listening: asyncio.Handle | None = None

    def tell(self, frames: Sequence[bytes]) -> bool:
        """Give it events; whether it is still there."""
        try:
            for frame in frames:
                self.channel.emit(BytesDelta(frame))
        except ChannelClosed:
            return False
        return self.closing is None

    def end(self, closing: Closing) -> bool:
        """Tell it that there is no more; whether nobody had done so."""
        if self.closing is not None:
            return False
        self.closing = closing
        return self.channel.end(closing)

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
    not taken yet is here anyway.
    """

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.is_over = False
        self._readers: list[Reader] = []

    @property
    def is_read(self) -> bool:
        """Whether anybody waits for more."""
        return any(reader.closing is None for reader in self._readers)

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
        for reader in self._readers:
            reader.end(RunFinished(None))
        self._readers = []

    def read(self, reader: Reader, *, start: int) -> None:
        """Give a reader the events from the one with the number `start` on, and all to come.

        That one may be still to come: what another worker has said is known here a little later.
        """
        reader.next = start
        if not self._tell(reader):
            return
        if self.is_over:
            reader.end(RunFinished(None))
        else:
            self._readers.append(reader)

    def _tell(self, reader: Reader) -> bool:
        frames = self.frames[reader.next :]
        reader.next += len(frames)
        return reader.tell(frames)


class AsItIs:
    """Sends what a log has; if the reading is broken off, why.

    Args:
        response: The response object, to say that with.
        start: The number of the first event.
    """

    def __init__(self, response: Mapping[str, Any] | None = None, *, start: int = 0) -> None:
        self._response = response
        self._next = start

    def encode(self, event: Event) -> bytes:
        if isinstance(event, BytesDelta):
            self._next += 1
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
