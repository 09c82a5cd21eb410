"""Reads the body of a request as far as it is allowed to go, and no longer than it may pause."""

from typing import Protocol

import anyio
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope

from hayserve.errors import RequestTimeout, TooLarge

EXTENSION = "hayserve.arrival"
_MEGABYTE = 1_000_000


class Arrival(Protocol):
    """The web server's own clock for the body under way: `scope["extensions"][EXTENSION]`.

    It costs nothing as long as bodies come in one piece, where a timer for each would. When a
    body pauses for too long, `receive()` gives a message without any bytes.
    """

    is_late: bool

    def allow(self, pause: float) -> None:
        """Let the body pause for so many seconds instead of what the server allows."""
        ...


async def read_body(scope: Scope, receive: Receive, *, limit: int, pause: float) -> bytes:
    """The whole body of a request.

    Args:
        scope: The request's.
        receive: The request's.
        limit: How large the body may be, in bytes.
        pause: How long nothing may come, in seconds.

    Raises:
        TooLarge: It is larger, or is said to be, in which case nothing of it is read.
        RequestTimeout: Nothing came for too long.
        ClientDisconnect: The client left before all was there.
    """
    arrival = _arrival_of(scope, limit, pause)
    if arrival is None:
        receive = _timed(receive, pause)
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body: bytes = message.get("body", b"")
        size += len(body)
        if size > limit:
            raise _too_large(limit)
        if not message.get("more_body"):
            return b"".join([*parts, body]) if parts else body
        if arrival is not None and arrival.is_late:
            raise _too_late(pause)
        parts.append(body)


def limited(scope: Scope, receive: Receive, *, limit: int, pause: float) -> Receive:
    """`receive` for somebody else who reads the body, such as Starlette's parser of forms.

    Args:
        scope: The request's.
        receive: The request's.
        limit: How large the body may be, in bytes.
        pause: How long nothing may come, in seconds.

    Returns:
        `receive`, which raises `TooLarge` or `RequestTimeout` as soon as that is known.

    Raises:
        TooLarge: The body is said to be larger.
    """
    arrival = _arrival_of(scope, limit, pause)
    if arrival is None:
        return _counted(_timed(receive, pause), limit)
    return _counted(receive, limit, pause=pause, arrival=arrival)


def _arrival_of(scope: Scope, limit: int, pause: float) -> Arrival | None:
    """What tells of the body's lateness, if the web server does; after a look at what is said."""
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    for name, value in headers:
        if name == b"content-length" and int(value) > limit:  # the web server knows it is a number
            raise _too_large(limit)
    arrival: Arrival | None = scope.get("extensions", {}).get(EXTENSION)
    if arrival is not None:
        arrival.allow(pause)
    return arrival


def _counted(
    receive: Receive, limit: int, *, pause: float = 0.0, arrival: Arrival | None = None
) -> Receive:
    size = 0

    async def receive_some() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > limit:
            raise _too_large(limit)
        if message.get("more_body") and arrival is not None and arrival.is_late:
            raise _too_late(pause)
        return message

    return receive_some


def _timed(receive: Receive, pause: float) -> Receive:
    """Under a web server that has no clock for bodies."""

    async def receive_in_time() -> Message:
        with anyio.move_on_after(pause):
            return await receive()
        raise _too_late(pause)

    return receive_in_time


def _too_large(limit: int) -> TooLarge:
    return TooLarge(
        f"The body is larger than {_size(limit)}.",
        hint="Send less, or ask whoever runs the server to allow more.",
    )


def _size(limit: int) -> str:
    return f"{limit / _MEGABYTE:.3g} MB" if limit >= _MEGABYTE else f"{limit} bytes"


def _too_late(pause: float) -> RequestTimeout:
    return RequestTimeout(
        f"Nothing of the body came for {pause:g} s.", hint="Send the whole body without a pause."
    )
