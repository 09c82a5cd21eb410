"""What the events of a run are on the wire of `/{name}/run`."""

import pytest

from hayserve.errors import HayserveError, InvalidInput, NotFound, Problem, WrapperRefused
from hayserve.events import (
    BytesDelta,
    Citation,
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
from hayserve.protocols.rest.encode import SSEEncoder, TextEncoder, error_body, json_of

SSE_ERROR = b"""\
event: error
data: {"detail":"%s","hint":"%s","code":"%s","run_id":"r1"}

"""
SAID: list[tuple[Event, bytes, bytes]] = [
    (TextDelta("a b"), b"a b", b"data: a b\n\n"),
    (TextDelta(""), b"", b"data:\n\n"),
    (TextDelta("a\n\nb\n"), b"a\n\nb\n", b"data: a\ndata:\ndata: b\ndata:\n\n"),
    (TextDelta("\udcff"), b"?", b"data: ?\n\n"),
    (ReasoningDelta("hm"), b"hm", b"data: hm\n\n"),
    (BytesDelta(b"\xff"), b"\xff", b"data: \xff\n\n"),
    (ReadyMade({"a": 1}), b'{"a": 1}', b'data: {"a": 1}\n\n'),
    (
        RunFailed(NotFound("No city.", hint="Ask.")),
        b"\n[error] No city. Ask.",
        SSE_ERROR % (b"No city.", b"Ask.", b"not_found"),
    ),
    (
        RunCancelled("so"),
        b"\n[error] The run was stopped: so. Send the request again if that was not intended.",
        SSE_ERROR
        % (
            b"The run was stopped: so.",
            b"Send the request again if that was not intended.",
            b"run_stopped",
        ),
    ),
]
NOT_SAID: list[Event] = [
    StreamOpened(),
    RunFinished(),
    ToolStarted("1", "add", {}),
    ToolFinished("1", "add", "2"),
    ToolCallDelta(0),
    ModelFinished("stop"),
    ClientEvent("status", {}),
    Cited((Citation("A"),)),
]


@pytest.mark.parametrize(("event", "text", "sse"), SAID)
def test_what_has_text_is_said(event: Event, text: bytes, sse: bytes) -> None:
    assert TextEncoder().encode(event) == text
    assert SSEEncoder("r1").encode(event) == sse


@pytest.mark.parametrize("event", NOT_SAID)
def test_what_has_no_place_in_plain_text_is_left_out(event: Event) -> None:
    assert TextEncoder().encode(event) == b""
    assert SSEEncoder("r1").encode(event) == b""


@pytest.mark.parametrize(
    ("error", "detail"),
    [
        (NotFound("No such city."), "No such city."),
        (WrapperRefused(418, {"pot": "tea"}), {"pot": "tea"}),
        (
            InvalidInput("Wrong.", problems=[Problem(("body", "n"), "Not a number", "int_type")]),
            [{"type": "int_type", "loc": ["body", "n"], "msg": "Not a number"}],
        ),
    ],
)
def test_the_detail_of_an_error_is_what_hayhooks_clients_read(
    error: HayserveError, detail: object
) -> None:
    assert error_body(error, run_id="r1") == {
        "detail": detail,
        "hint": "",
        "code": error.code,
        "run_id": "r1",
    }


def test_an_error_becomes_json_whatever_is_in_it() -> None:
    assert json_of({"é": {1}, "text": "\udcff"}) == (b'{"\\u00e9": "{1}", "text": "\\udcff"}')
