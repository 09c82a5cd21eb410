"""Reads the streams of responses in pages, so that nobody has much of one in memory."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, LargeBinary, Row, and_, func, select

from hayserve.storage.database import Database
from hayserve.storage.tables import response_frames

# How much of a stream is read at once, and of how many of its rows at most.
PAGE_BYTES = 256 * 1024
PAGE_ROWS = 256
_LARGEST_NUMBER = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Place:
    """Where one is in a stream.

    Args:
        number: That of the first event of a row, or of the row that comes next.
        offset: How much of that row one has, in bytes.
    """

    number: int
    offset: int = 0


@dataclass(frozen=True, slots=True)
class StreamPage:
    """A part of a stream.

    Args:
        data: Events as they are sent. A large one is spread over pages; an event's end is in one.
        after: Where the next page begins.
    """

    data: bytes
    after: Place


class StreamPages:
    """The streams of responses, read in pages. The methods block.

    Args:
        database: Where the events are kept.

    Raises:
        StorageUnavailable: From each method, if the database does not answer.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def place(self, id_: str, number: int = _LARGEST_NUMBER) -> Place | None:
        """Where to begin for an event, or the last row before it; None if there are no events.

        Args:
            id_: The response's.
            number: The event's; by default the last row is given.
        """
        rows = response_frames.c
        query = select(func.max(rows.number)).where(
            rows.response == id_, rows.number <= min(number, _LARGEST_NUMBER)
        )
        with self._database.reading() as connection:
            found = connection.execute(query).scalar()
        return None if found is None else Place(found)

    def page(self, id_: str, place: Place) -> StreamPage | None:
        """What there is from a place on, about `PAGE_BYTES` at most; None if that is nothing."""
        rows = response_frames.c
        here = and_(rows.response == id_, rows.number >= place.number)
        sizes = select(rows.number, rows.next, func.length(rows.data)).where(here)
        with self._database.reading() as connection:
            found = connection.execute(sizes.order_by(rows.number).limit(PAGE_ROWS)).all()
            if not found:
                return None
            first, next_, size = found[0]
            if place.offset or size > PAGE_BYTES:
                data = _piece(connection, id_, Place(first, place.offset))
                if not data:  # it was deleted between the two reads
                    return None
                end = place.offset + len(data)
                return StreamPage(data, Place(next_) if end >= size else Place(first, end))
            last, next_ = _fitting(found)
            query = select(rows.data).where(here, rows.number <= last).order_by(rows.number)
            return StreamPage(b"".join(connection.execute(query).scalars()), Place(next_))


def _fitting(found: Sequence[Row[Any, Any, Any]]) -> tuple[int, int]:
    """The number of the last row that a page has room for, and of the one after it."""
    left = PAGE_BYTES
    last, next_, _ = found[0]
    for number, after, size in found:
        left -= size
        if left < 0:
            break
        last, next_ = number, after
    return last, next_


def _piece(connection: Connection, id_: str, place: Place) -> bytes:
    rows = response_frames.c
    part = func.substr(rows.data, place.offset + 1, PAGE_BYTES, type_=LargeBinary())
    query = select(part).where(rows.response == id_, rows.number == place.number)
    data: bytes = connection.execute(query).scalar() or b""
    if len(data) < PAGE_BYTES:
        return data
    return data.rstrip(b"\n")  # so that no event's end is in two pages
