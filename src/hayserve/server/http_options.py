"""What the web server is told about HTTP: how much, and for how long, it reads of a request."""

from functools import partial
from typing import Any

from hayserve.server.access_log import AccessLog
from hayserve.server.limited_socket import LimitedSocket

# How long a client over a WebSocket may not answer, as while it reads nothing.
PONG_SECONDS = 60.0


def http_options(
    *,
    header_bytes: int,
    header_seconds: float,
    body_seconds: float,
    message_bytes: int,
    access_log: AccessLog | None = None,
) -> dict[str, Any]:
    """Options of `uvicorn.Config`.

    Args:
        header_bytes: How large the line and the headers of a request may be together.
        header_seconds: How long they may take to arrive.
        body_seconds: How long a body may pause on its way, where its deployment does not say.
        message_bytes: How large a message over a WebSocket may be.
        access_log: What each request is said to; by default uvicorn's own logger.

    Returns:
        The options. Without httptools, which not every platform has, only the size is limited.
    """
    sockets = {
        "ws": LimitedSocket,
        "ws_max_size": message_bytes,
        "ws_per_message_deflate": False,  # which takes longer than what it saves for small messages
        "ws_ping_timeout": PONG_SECONDS,
    }
    try:
        from hayserve.server.http_protocol import HttpLimits, LimitedHttp  # noqa: PLC0415  where it can be
    except ImportError:
        return {"http": "h11", "h11_max_incomplete_event_size": header_bytes, **sockets}
    limits = HttpLimits(header_bytes, header_seconds, body_seconds)
    return {"http": partial(LimitedHttp, limits=limits, access_log=access_log), **sockets}
