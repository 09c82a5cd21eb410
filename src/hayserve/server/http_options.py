"""What the web server is told about HTTP: how much, and for how long, it reads of a request."""

from functools import partial
from typing import Any

from hayserve.server.access_log import AccessLog


def http_options(
    *,
    header_bytes: int,
    header_seconds: float,
    body_seconds: float,
    access_log: AccessLog | None = None,
) -> dict[str, Any]:
    """Options of `uvicorn.Config`.

    Args:
        header_bytes: How large the line and the headers of a request may be together.
        header_seconds: How long they may take to arrive.
        body_seconds: How long a body may pause on its way, where its deployment does not say.
        access_log: What each request is said to; by default uvicorn's own logger.

    Returns:
        The options. Without httptools, which not every platform has, only the size is limited.
    """
    try:
        from hayserve.server.http_protocol import HttpLimits, LimitedHttp  # noqa: PLC0415  where it can be
    except ImportError:
        return {"http": "h11", "h11_max_incomplete_event_size": header_bytes}
    limits = HttpLimits(header_bytes, header_seconds, body_seconds)
    return {"http": partial(LimitedHttp, limits=limits, access_log=access_log)}
