"""Translates the events of a run into the answers of `/{name}/run`."""

from typing import Any, assert_never

from hayserve.errors import HayserveError, InvalidInput, WrapperRefused
from hayserve.events import (
    BytesDelta,
    Cited,
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
from hayserve.protocols.json_bytes import to_json
from hayserve.protocols.statuses import stopped
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


def json_of(body: object) -> bytes:
    """`body` as JSON, whatever is in it: what a wrapper raised may hold what JSON has not."""
    return to_json(body, default=repr)


def data_of(event: Event) -> bytes | None:
    """What an item of a stream is as bytes; None for what has no place in a plain stream."""
    match event:
        case TextDelta(text=text) | ReasoningDelta(text=text):
            return text.encode(errors="replace")
        case BytesDelta(data=data):
            return data
        case ReadyMade(data=content):
            return as_text(content).encode(errors="replace")
        case (
            StreamOpened()
            | RunFinished()
            | RunFailed()
            | RunCancelled()
            | ToolStarted()
            | ToolFinished()
            | ToolCallDelta()
            | ModelFinished()
            | ClientEvent()
            | Cited()
        ):
            return None
        case _:
            assert_never(event)


def error_of(event: Event) -> HayserveError | None:
    """What went wrong, if `event` is a closing event that says so."""
    match event:
        case RunFailed(error=error):
            return error
        case RunCancelled(reason=reason):
            return stopped(reason)
        case _:
            return None


class TextEncoder:
    """The items one after the other, as plain text; a stream that fails ends with the reason."""

    def encode(self, event: Event) -> bytes:
        error = error_of(event)
        if error is not None:
            return f"\n[error] {error}".encode(errors="replace")
        return data_of(event) or b""


class SSEEncoder:
    """Each item as one server-sent event, each of its lines as one `data:` line.

    A stream that fails ends with an event named `error`, whose data is an error's body.

    Args:
        run_id: The id of the run.
    """

    def __init__(self, run_id: str) -> None:
        self._run_id = run_id

    def encode(self, event: Event) -> bytes:
        error = error_of(event)
        if error is not None:
            body = json_of(error_body(error, run_id=self._run_id))
            return b"event: error\ndata: " + body + b"\n\n"
        data = data_of(event)
        return b"" if data is None else _lines(data)


def _lines(data: bytes) -> bytes:
    lines = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    return b"".join(b"data: " + line + b"\n" if line else b"data:\n" for line in lines) + b"\n"
