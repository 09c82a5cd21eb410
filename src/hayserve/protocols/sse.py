"""Writes the events of a run to a client as they come, and notices when the client leaves."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping, Sequence
from contextvars import copy_context
from types import TracebackType
from typing import Any, Protocol

import anyio
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from hayserve.events import STOPPING, Closing, Event, RunCancelled
from hayserve.protocols.body import EXTENSION
from hayserve.runs.channel import Channel
from hayserve.runs.live import LiveRun, has_closed

GRACE_SECONDS = 5.0
KEEP_ALIVE_SECONDS = 15.0
FAREWELL_SECONDS = 1.0
# Where the state of a request has, as a pair, the `send` of a layer that has done all it does when
# a response has started, and the one behind it.
SENDS = "sends"
# How long a client may take nothing after its run has ended.
STALLED_SECONDS = 30.0
KEEP_ALIVE = b": keep-alive\n\n"

# Proxies hold a stream back unless they are told not to.
SSE_HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache",
    "x-accel-buffering": "no",
}


def _raw(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]


_SSE_RAW_HEADERS = tuple(_raw(SSE_HEADERS))


class Encoder(Protocol):
    """Translates events to bytes, the closing event too; keeps state, does no I/O."""

    def encode(self, event: Event) -> bytes: ...


class Source(Protocol):
    """Whose events are written: a run, or who reads what was written down of one."""

    channel: Channel
    closing: Closing | None

    @property
    def survives(self) -> bool: ...

    @property
    def when_lasting(self) -> Callable[[], object] | None: ...

    @when_lasting.setter
    def when_lasting(self, called: Callable[[], object] | None) -> None: ...

    def cancel(self, reason: str = ...) -> bool: ...


class EventStreamResponse(Response):
    """Sends what an encoder makes of the events of a run.

    Args:
        live: The run, or a reader; it is cancelled if the client leaves.
        opening: The events that were already taken from it.
        encoder: Makes bytes of events.
        headers: The headers of the response.
        keep_alive: What to send when nothing was said for 15 seconds; empty for nothing.
    """

    def __init__(
        self,
        live: Source,
        *,
        opening: Sequence[Event],
        encoder: Encoder,
        headers: Mapping[str, str] = SSE_HEADERS,
        keep_alive: bytes = KEEP_ALIVE,
    ) -> None:
        self.status_code = 200
        self.background = None
        # A list of its own: middleware adds to it.
        self.raw_headers = [*_SSE_RAW_HEADERS] if headers is SSE_HEADERS else _raw(headers)
        self._live = live
        self._opening = opening
        self._encoder = encoder
        self._keep_alive = keep_alive

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        try:
            try:
                await send(start)
            except OSError:
                if not self._live.survives:
                    raise
                send = _to_nobody
            if has_closed(self._opening):  # as of an answer that is a plain text
                body = b"".join(map(self._encoder.encode, self._opening))
                await send({"type": "http.response.body", "body": body, "more_body": False})
                return
            writing = Writing(self._live, self._encoder, keep_alive=self._keep_alive)
            leaving = Leaving(receive, self._live)
            # Under a web server of others, `send` may need to be called in a task.
            is_direct = EXTENSION in scope.get("extensions", {})
            try:
                await writing.write_all(self._opening, _shortest(send, scope), is_direct=is_direct)
            finally:
                leaving.close()
        finally:
            self._live.cancel()


class Sending:
    """Sends messages one after the other, without a task unless the client is slow.

    Args:
        send: The request's.
        then: Called when a message is sent that had to wait, with the error if that failed.
        is_direct: Whether `send` can be called outside of a task.
    """

    def __init__(
        self, send: Send, then: Callable[[BaseException | None], None], *, is_direct: bool
    ) -> None:
        self._send = send
        self._then = then
        self._is_direct = is_direct
        # While there is one, the client has to take what was sent before anything else is.
        self.task: asyncio.Task[None] | None = None

    def begin(self, message: Message) -> bool:
        """Send a message.

        Returns:
            Whether it is sent; else it waits in a task.

        Raises:
            Exception: It has failed already.
        """
        sending: Coroutine[Any, Any, None] = self._send(message)  # type: ignore[assignment]
        rest: Awaitable[None] = sending
        if self._is_direct:
            try:
                rest = _Rest(sending, sending.send(None))
            except StopIteration:
                return True
        self.task = asyncio.get_running_loop().create_task(_awaited(rest))
        self.task.add_done_callback(self._end)
        return False

    def _end(self, task: "asyncio.Task[None]") -> None:
        self.task = None
        self._then(None if task.cancelled() else task.exception())

    async def wait(self) -> None:
        """Return when the client has taken what was sent."""
        if self.task is not None:
            await asyncio.wait([self.task])

    def close(self) -> None:
        """Give up what the client does not take."""
        if self.task is not None:
            self.task.cancel()


async def _awaited(rest: Awaitable[None]) -> None:
    await rest


class _Rest(Generator[Any, Any, None]):
    """What is left of a coroutine that was begun by hand, and that waits for something."""

    def __init__(self, begun: Coroutine[Any, Any, None], waits_for: Any) -> None:
        self._begun = begun
        self._waits_for = waits_for
        self._is_handed_over = False

    def __await__(self) -> Generator[Any, Any, None]:
        return self

    def send(self, value: Any, /) -> Any:
        if self._is_handed_over:
            return self._begun.send(value)
        self._is_handed_over = True
        return self._waits_for

    def throw(self, typ: Any, val: Any = None, _: TracebackType | None = None, /) -> Any:
        return self._begun.throw(typ if val is None else val)


def _shortest(send: Send, scope: Scope) -> Send:
    """`send` without the layer that only concerns the start of a response."""
    layer, inner = scope.get("state", {}).get(SENDS, (None, None))
    return inner if send is layer else send


async def _to_nobody(_: Message) -> None:
    """Where the stream of a run goes whose client has left and which is to go on."""


class Writing:
    """Makes bytes of the events of a run as they come, and sends them.

    All that waits goes into one message. While the client does not take it, nothing more is taken
    from the run, which so comes to wait itself.

    Args:
        live: The run.
        encoder: Makes bytes of events.
        keep_alive: What to send when nothing was said for a while.
    """

    def __init__(self, live: Source, encoder: Encoder, *, keep_alive: bytes) -> None:
        self._live = live
        self._take = live.channel.take
        self._encode = encoder.encode
        self._keep_alive = keep_alive
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._has_said_its_end = False
        self._wrote_at = self._loop.time()

    async def write_all(self, opening: Sequence[Event], send: Send, *, is_direct: bool) -> None:
        """Return when the closing event was sent, or the client has left.

        Args:
            opening: The events that were already taken from the run.
            send: The request's.
            is_direct: Whether `send` can be called outside of a task.
        """
        self._sending = Sending(send, self._sent, is_direct=is_direct)
        self._timer = self._loop.call_later(KEEP_ALIVE_SECONDS, self._look)
        try:
            self._write(opening)
            self._live.channel.listen(self._write_more)
            await self._ended
        except asyncio.CancelledError:
            await self._take_leave()
            raise
        finally:
            self._live.channel.listen(_nothing)
            self._sending.close()
            self._timer.cancel()

    def _write_more(self) -> None:
        """Called for every token of a stream that is not slow."""
        if self._sending.task is not None or self._ended.done():
            return
        try:
            self._write(self._take())
        except Exception as error:  # noqa: BLE001 - of middleware: raised where this is awaited
            self._end(error)

    def _write(self, events: Sequence[Event]) -> None:
        body = b"".join(map(self._encode, events))
        self._has_said_its_end = has_closed(events)
        if body or self._has_said_its_end:
            self._put(body)

    def _put(self, body: bytes) -> None:
        self._wrote_at = self._loop.time()
        more = not self._has_said_its_end
        message = {"type": "http.response.body", "body": body, "more_body": more}
        try:
            is_sent = self._sending.begin(message)
        except OSError as error:
            self._sent(error)
            return
        if is_sent and not more:
            self._end(None)

    def _sent(self, error: BaseException | None) -> None:
        if isinstance(error, OSError) and self._live.survives:
            self._sending, error = Sending(_to_nobody, self._sent, is_direct=True), None
        if error is not None:
            self._live.cancel("the client left")
            self._end(None if isinstance(error, OSError) else error)
        elif self._has_said_its_end:
            self._end(None)
        elif self._live.channel.has_events:
            self._loop.call_soon(self._write_more)

    def _end(self, error: BaseException | None) -> None:
        if self._ended.done():
            return
        if error is None:
            self._ended.set_result(None)
        else:
            self._ended.set_exception(error)

    def _look(self) -> None:
        """Say something if nothing was said for long; give up who does not read a stream's end."""
        silent = self._loop.time() - self._wrote_at
        if self._sending.task is not None:
            if self._live.closing is not None and silent >= STALLED_SECONDS:
                self._end(None)
        elif silent >= KEEP_ALIVE_SECONDS and self._keep_alive:
            try:
                self._put(self._keep_alive)
            except Exception as error:  # noqa: BLE001 - as above
                self._end(error)
            silent = 0.0
        wait = max(KEEP_ALIVE_SECONDS - silent, KEEP_ALIVE_SECONDS / 3)
        self._timer = self._loop.call_later(wait, self._look)

    async def _take_leave(self) -> None:
        """End a stream that the server cancels because it stops: its client should know why."""
        if self._has_said_its_end:
            return
        with anyio.move_on_after(FAREWELL_SECONDS, shield=True):
            await self._sending.wait()
            self._ended = self._loop.create_future()
            self._write([RunCancelled(STOPPING)])
            await self._ended


def _nothing() -> None:
    """Who listens to the events of a run that nobody reads any more."""


class Leaving:
    """Cancels a run when its client leaves.

    It begins to listen when the run takes longer than a moment: most plain answers do not.

    Args:
        receive: The request's, whose body has been read.
        live: The run; left alone if it is to go on without a reader.
    """

    def __init__(self, receive: Receive, live: Source) -> None:
        self._receive = receive
        self._live = live
        self._task: asyncio.Task[None] | None = None
        self._context = copy_context()
        if not live.survives:
            live.when_lasting = self._begin

    def close(self) -> None:
        """Listen no longer."""
        self._live.when_lasting = None
        if self._task is not None:
            self._task.cancel()

    def _begin(self) -> None:
        loop = asyncio.get_running_loop()
        self._task = loop.create_task(self._listen(), context=self._context)

    async def _listen(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._live.cancel("the client left")


async def while_connected(
    receive: Receive, live: LiveRun, read: Callable[[], Awaitable[list[Event]]]
) -> list[Event]:
    """What `read` gives; if the client leaves before that, the run is cancelled.

    Args:
        receive: The request's, whose body has been read.
        live: The run that `read` listens to.
        read: Such as `live.all_events`.

    Returns:
        The events; the last is a `RunCancelled` if the client has left.
    """
    leaving = Leaving(receive, live)
    try:
        return await read()
    except BaseException:
        live.cancel()
        raise
    finally:
        leaving.close()
