"""Which error is which HTTP status."""

from collections.abc import Iterator

import pytest

from hayserve import errors
from hayserve.errors import HayserveError, InvalidRequest, NotReady, RunStopped, WrapperRefused
from hayserve.events import STOPPING
from hayserve.protocols.statuses import STATUSES, Status, status_of, stopped


def kinds(kind: type[HayserveError] = HayserveError) -> Iterator[type[HayserveError]]:
    yield kind
    for below in kind.__subclasses__():
        if below.__module__ == errors.__name__:
            yield from kinds(below)


def test_every_error_has_a_row_and_every_row_an_error() -> None:
    assert set(STATUSES) == set(kinds())


@pytest.mark.parametrize("kind", STATUSES)
def test_a_row_is_a_refusal_in_both_protocols(kind: type[HayserveError]) -> None:
    row = STATUSES[kind]
    for status in (row.http, row.openai):
        assert 400 <= status < 600
        is_the_callers_fault = status < 500 and kind is not errors.RunStopped
        assert (row.openai_type == "server_error") != is_the_callers_fault


def test_an_error_is_looked_up_by_its_class() -> None:
    assert status_of(InvalidRequest("no")) == Status(422, 400, "invalid_request_error")


@pytest.mark.parametrize(
    ("status", "kind"), [(418, "invalid_request_error"), (503, "server_error")]
)
def test_a_wrappers_refusal_brings_its_own_status(status: int, kind: str) -> None:
    assert status_of(WrapperRefused(status, "no")) == Status(status, status, kind)


def test_who_is_stopped_because_the_server_stops_is_told_to_come_again() -> None:
    asked, ending = stopped("cancelled by Ada"), stopped(STOPPING)
    assert isinstance(asked, RunStopped)
    assert str(asked) == (
        "The run was stopped: cancelled by Ada. Send the request again if that was not intended."
    )
    assert isinstance(ending, NotReady)
    assert str(ending) == "The run was stopped: the server is stopping. Send the request again."
