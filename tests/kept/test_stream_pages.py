"""Streams are read in pages, from any event on, on SQLite and on PostgreSQL."""

import pytest

from hayserve.kept.responses import Kept, Responses
from hayserve.kept.stream_pages import PAGE_BYTES, PAGE_ROWS, Place, StreamPages
from hayserve.storage.database import Database

KEEP_SECONDS = 100


def frame(number: int, size: int = 0) -> bytes:
    return b"event: e\ndata: %d %s\n\n" % (number, b"x" * size)


def kept_stream(database: Database, rows: list[list[bytes]]) -> StreamPages:
    """A response whose events are kept in these rows."""
    responses = Responses(database, keep_seconds=KEEP_SECONDS)
    body = {"id": "resp_1", "object": "response"}
    responses.add(Kept("resp_1", "me", "r", "w", None, None, [], body))
    number = 0
    for row in rows:
        assert responses.append("resp_1", row, number=number)
        number += len(row)
    return responses.pages


def pages_of(pages: StreamPages, place: Place) -> list[bytes]:
    found: list[bytes] = []
    while (page := pages.page("resp_1", place)) is not None:
        found.append(page.data)
        place = page.after
    return found


@pytest.mark.parametrize(
    ("rows", "count"),
    [
        ([[frame(0), frame(1)], [frame(2)]], 1),
        ([[frame(number)] for number in range(PAGE_ROWS + 1)], 2),
        ([[frame(0, PAGE_BYTES // 2)], [frame(1, PAGE_BYTES // 2)], [frame(2)]], 2),
        ([[frame(0), frame(1, 3 * PAGE_BYTES), frame(2)], [frame(3)]], 5),
    ],
)
def test_a_stream_is_read_in_pages(database: Database, rows: list[list[bytes]], count: int) -> None:
    found = pages_of(kept_stream(database, rows), Place(0))
    assert b"".join(found) == b"".join(map(b"".join, rows))
    assert len(found) == count
    assert max(map(len, found)) <= PAGE_BYTES


@pytest.mark.parametrize("end", range(-3, 4))
def test_the_end_of_an_event_is_in_one_page(database: Database, end: int) -> None:
    row = [frame(0, PAGE_BYTES - len(frame(0)) + end), frame(1)]
    found = pages_of(kept_stream(database, [row]), Place(0))
    assert b"".join(found) == b"".join(row)
    assert sum(page.count(b"\n\n") for page in found) == 2


def test_a_stream_is_begun_in_the_row_that_has_the_event(database: Database) -> None:
    pages = kept_stream(database, [[frame(0), frame(1)], [frame(2)]])
    places = [pages.place("resp_1", number) for number in (0, 1, 2, 9, 10**20)]
    assert places == [Place(0), Place(0), Place(2), Place(2), Place(2)]
    assert pages.place("resp_1") == Place(2)
    assert pages.place("resp_none") is None


def test_of_a_stream_that_was_deleted_there_is_nothing_more(database: Database) -> None:
    pages = kept_stream(database, [[frame(0, 2 * PAGE_BYTES)]])
    assert (page := pages.page("resp_1", Place(0))) is not None
    assert Responses(database, keep_seconds=1).delete("resp_1", owner="me")
    assert pages.page("resp_1", page.after) is None


def test_of_what_became_shorter_there_is_nothing_more(database: Database) -> None:
    pages = kept_stream(database, [[frame(0)]])
    assert pages.page("resp_1", Place(0, len(frame(0)))) is None
