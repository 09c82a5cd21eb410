"""Writes the events of a run to a client as they come, and notices when the client leaves."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Protocol

import anyio
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from hayserve.events import Event, RunCancelled
from hayserve.runs.live import LiveRun, has_closed

GRACE_SECONDS = 5.0
KEEP_ALIVE_SECONDS = 15.0
FAREWELL_SECONDS = 1.0
KEEP_ALIVE = b": keep-alive\n\n"

# Proxies hold a stream back unless they are told not to.
SSE_HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache",
    "x-accel-buffering": "no",
}


class Encoder(Protocol):
    """Translates events to bytes, the closing event too; keeps state, does no I/O."""

    def encode(self, event: Event) -> bytes: ...


class EventStreamResponse(Response):
    """Sends what an encoder makes of the events of a run.

    Args:
        live: The run; it is cancelled if the client leaves.
        opening: The events that were already taken from it.
        encoder: Makes bytes of events.
        headers: The headers of the response.
        keep_alive: What to send when nothing was said for 15 seconds; empty for nothing.
    """

    def __init__(
        self,
        live: LiveRun,
        *,
        opening: Sequence[Event],
        encoder: Encoder,
        headers: Mapping[str, str] = SSE_HEADERS,
        keep_alive: bytes = KEEP_ALIVE,
    ) -> None:
        self.status_code = 200
        self.background = None
        self.init_headers(headers)
        self._live = live
        self._opening = opening
        self._encoder = encoder
        self._keep_alive = keep_alive
        self._is_open = False

    def init_headers(self, headers: Mapping[str, str] | None = None) -> None:
        self.raw_headers = [
            (name.encode("latin-1"), value.encode("latin-1"))
            for name, value in (headers or {}).items()
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI
        try:
            async with anyio.create_task_group() as tasks:
                listening = anyio.CancelScope()
                tasks.start_soon(_listen, receive, listening, tasks.cancel_scope)
                await self._write(send)
                listening.cancel()
        except anyio.get_cancelled_exc_class():
            await self._take_leave(send)
            raise
        finally:
            self._live.cancel()

    async def _take_leave(self, send: Send) -> None:
        """End a stream that the server cancels because it stops: its client should know why."""
        if self._is_open:
            with anyio.move_on_after(FAREWELL_SECONDS, shield=True):
                await self._send(send, [RunCancelled("the server is stopping")])
                await self._end(send)

    async def _write(self, send: Send) -> None:
        await send(
            {
                "type": "http.response.start",
                "status": self.status_code,
                "headers": self.raw_headers,
            }
        )
        self._is_open = True
        events = list(self._opening)
        while not has_closed(events):
            await self._send(send, events)
            events = await self._next(send)
        self._is_open = False
        await self._send(send, events)
        await self._end(send)

    async def _end(self, send: Send) -> None:
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send(self, send: Send, events: Sequence[Event]) -> None:
        body = b"".join(map(self._encoder.encode, events))
        if body:
            await send({"type": "http.response.body", "body": body, "more_body": True})

    async def _next(self, send: Send) -> list[Event]:
        while True:
            with anyio.move_on_after(KEEP_ALIVE_SECONDS):
                return await self._live.channel.receive()
            if self._keep_alive:
                await send(
                    {"type": "http.response.body", "body": self._keep_alive, "more_body": True}
                )


async def while_connected(
    receive: Receive, live: LiveRun, read: Callable[[], Awaitable[list[Event]]]
) -> list[Event]:
    """What `read` gives; if the client leaves before that, the run is cancelled.

    Args:
        receive: The request's, whose body has been read.
        live: The run that `read` listens to.
        read: Such as `live.all_events`.

    Returns:
        The events; only a `RunCancelled` if the client has left.
    """
    events: list[Event] = [RunCancelled("the client left")]
    with ExitStack() as unless_read:
        unless_read.callback(live.cancel)
        async with anyio.create_task_group() as tasks:
            listening = anyio.CancelScope()
            tasks.start_soon(_listen, receive, listening, tasks.cancel_scope)
            events = await read()
            unless_read.pop_all()
            listening.cancel()
    return events


async def _listen(receive: Receive, listening: anyio.CancelScope, work: anyio.CancelScope) -> None:
    """Cancel `work` when the client has left; `listening` ends this before that."""
    with listening:
        while (await receive())["type"] != "http.disconnect":
            pass
        work.cancel()
