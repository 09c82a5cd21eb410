"""Translates the events of a run into the answers of `/{name}/run`."""

from typing import Any, assert_never

from hayserve.errors import HayserveError, InvalidInput, WrapperRefused
from hayserve.events import (
    BytesDelta,
    ClientEvent,
    Event,
    ModelFinished,
    ReadyMade,
    ReasoningDelta,
    RunCancelled,
    RunFailed,
    RunFinished,
    StreamOpened,
    TextDelta,
    ToolCallDelta,
    ToolFinished,
    ToolStarted,
)
from hayserve.wrappers.items import as_text


def error_body(error: HayserveError, *, run_id: str) -> dict[str, Any]:
    """`{"detail", "hint", "code", "run_id"}`.

    `detail` is what Hayhooks' clients read: a sentence, or the list of what is wrong with which
    field; a wrapper's `HTTPException` keeps its own.
    """
    detail: object = error.message
    if isinstance(error, InvalidInput):
        detail = [
            {"type": problem.type, "loc": list(problem.loc), "msg": problem.msg}
            for problem in error.problems
        ]
    elif isinstance(error, WrapperRefused):
        detail = error.detail
    return {"detail": detail, "hint": error.hint, "code": error.code, "run_id": run_id}


def data_of(event: Event) -> bytes | None:
    """What an item of a stream is as bytes; None for what has no place in a plain stream."""
    match event:
        case TextDelta(text=text) | ReasoningDelta(text=text):
            return text.encode(errors="replace")
        case BytesDelta(data=data):
            return data
        case ReadyMade(data=content):
            return as_text(content).encode(errors="replace")
        case RunFailed(error=error):
            return f"\n[error] {error}".encode(errors="replace")
        case RunCancelled(reason=reason):
            return f"\n[error] The run was stopped: {reason}.".encode()
        case (
            StreamOpened()
            | RunFinished()
            | ToolStarted()
            | ToolFinished()
            | ToolCallDelta()
            | ModelFinished()
            | ClientEvent()
        ):
            return None
        case _:
            assert_never(event)


class TextEncoder:
    """The items one after the other, as plain text."""

    def encode(self, event: Event) -> bytes:
        return data_of(event) or b""


class SSEEncoder:
    """Each item as one server-sent event, each of its lines as one `data:` line.

    A stream that fails ends with an event named `error`.
    """

    def encode(self, event: Event) -> bytes:
        data = data_of(event)
        if data is None:
            return b""
        if isinstance(event, RunFailed | RunCancelled):
            return b"event: error\n" + _lines(data.strip())
        return _lines(data)


def _lines(data: bytes) -> bytes:
    lines = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    return b"".join(b"data: " + line + b"\n" if line else b"data:\n" for line in lines) + b"\n"
