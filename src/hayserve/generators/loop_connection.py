"""A connection of an event loop: one exchange after the other, and a rest between them."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, cast

import httpx2

from hayserve.generators.http_answer import Answer

if TYPE_CHECKING:
    from asyncio import Future, TimerHandle, Transport

MOST_WAITING = 65_536
"""How much of an answer is read ahead of who takes it, in bytes; then the other side waits."""
LONGEST_REST = 5.0
"""How long a connection is kept that nobody uses, in seconds."""


class LoopConnection(asyncio.Protocol):
    """Sends requests and hands out what comes back.

    Args:
        rest: Called with the connection when it is free for another request; says whether it is
            wanted.
    """

    def __init__(self, rest: "Callable[[LoopConnection], bool]") -> None:
        self._rest = rest
        self._loop = asyncio.get_running_loop()
        self._answer = Answer()
        self._state: Literal["busy", "resting", "closed"] = "busy"
        self._error: Exception | None = None
        self._waiter: Future[None] | None = None
        self._timer: TimerHandle | None = None
        self._paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("Transport", transport)

    @property
    def resting(self) -> bool:
        """It is open and free for another request."""
        return self._state == "resting"

    async def exchange(self, request: bytes, *, patience: float | None) -> Answer:
        """Sends a request and waits for the status and the headers of the answer."""
        self._stop_timer()
        self._state = "busy" if self._state != "closed" else "closed"
        self._answer = answer = Answer()
        self._transport.write(request)
        while not answer.begun:
            await self._more(patience)
        return answer

    async def read(self, *, patience: float | None) -> bytes:
        """The next piece of the body, empty at its end.

        Raises:
            httpx2.ReadTimeout: Nothing came for `patience` seconds.
            httpx2.ReadError: The connection broke.
            httpx2.RemoteProtocolError: What came is no answer, or ended too early.
        """
        while not self._answer.waiting:
            if self._answer.complete:
                return b""
            await self._more(patience)
        piece = self._answer.take()
        if self._paused and self._state == "busy":
            self._paused = False
            self._transport.resume_reading()
        return piece

    def leave(self) -> None:
        """Ends the exchange; an answer that is still coming is cut off."""
        if self._state != "busy":
            return
        read = self._answer.complete and not self._paused
        if read and self._answer.reusable and self._rest(self):
            self._state = "resting"
            self._timer = self._loop.call_later(LONGEST_REST, self.close)
        else:
            self.close()

    def close(self) -> None:
        """Closes the connection at once."""
        self._stop_timer()
        self._state = "closed"
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._state == "resting":
            self.close()  # nobody asked
            return
        try:
            self._answer.feed(data)
        except httpx2.RemoteProtocolError as error:
            self._error = error
            self.close()
        if self._answer.waiting > MOST_WAITING and not self._paused and self._state == "busy":
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        self._state = "closed"
        if self._error is None:
            self._error = self._why_lost(exc)
        self._wake()

    def _why_lost(self, exc: Exception | None) -> Exception:
        if exc is not None:
            return httpx2.ReadError(str(exc))
        try:
            self._answer.end()
        except httpx2.RemoteProtocolError as error:
            return error
        return httpx2.ReadError("The connection is closed")

    async def _more(self, patience: float | None) -> None:
        if self._error is not None:
            raise self._error
        self._waiter = waiter = self._loop.create_future()
        timer = None if patience is None else self._loop.call_later(patience, self._give_up)
        try:
            await waiter
        finally:
            self._waiter = None
            if timer is not None:
                timer.cancel()

    def _give_up(self) -> None:
        self._error = httpx2.ReadTimeout("Nothing came in time")
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
