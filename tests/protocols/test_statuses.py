"""Which error is which HTTP status."""

from collections.abc import Iterator

import pytest

from hayserve import errors
from hayserve.errors import HayserveError, InvalidRequest, WrapperRefused
from hayserve.protocols.statuses import STATUSES, Status, status_of


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
        assert (row.openai_type == "server_error") == (status >= 500)


def test_an_error_is_looked_up_by_its_class() -> None:
    assert status_of(InvalidRequest("no")) == Status(422, 400, "invalid_request_error")


@pytest.mark.parametrize(
    ("status", "kind"), [(418, "invalid_request_error"), (503, "server_error")]
)
def test_a_wrappers_refusal_brings_its_own_status(status: int, kind: str) -> None:
    assert status_of(WrapperRefused(status, "no")) == Status(status, status, kind)
