"""Keeps responses, and the events of those whose stream can be picked up again."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    and_,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)

from hayserve.kept.stream_pages import StreamPages
from hayserve.storage.database import Database
from hayserve.storage.tables import response_frames, responses, workers

_FRAME_END = b"\n\n"


@dataclass(frozen=True, slots=True)
class Kept:
    """A response that is kept.

    Args:
        id: Its id.
        owner: Stands for the key that asked for it; nobody else is shown it.
        run: The run that makes it, or made it.
        worker: The worker that runs that.
        previous: The response that it continues.
        conversation: The conversation that it belongs to.
        input: The items that were sent for it.
        body: The response object, as it was last written.
        has_ended: Whether that is its last word.
    """

    id: str
    owner: str
    run: str
    worker: str
    previous: str | None
    conversation: str | None
    input: Sequence[Mapping[str, Any]]
    body: Mapping[str, Any]
    has_ended: bool = False


class Responses:
    """The responses of all workers that share a database. The methods block: call them in threads.

    Args:
        database: Where they are kept.
        keep_seconds: For how long, from their last word on.
        clock: Seconds since 1970.

    Raises:
        StorageUnavailable: From each method, if the database does not answer.
    """

    def __init__(
        self,
        database: Database,
        *,
        keep_seconds: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._keep_seconds = keep_seconds
        self._clock = clock

    @property
    def pages(self) -> StreamPages:
        """The events of their streams."""
        return StreamPages(self._database)

    def add(self, kept: Kept) -> None:
        """Keep a response, which may still be under way."""
        now = self._clock()
        row = {name: getattr(kept, name) for name in Kept.__slots__}
        row |= {"created_at": now, "expires_at": now + self._keep_seconds}
        with self._database.writing_aside() as connection:
            connection.execute(insert(responses).values(**row))

    def append(self, id_: str, frames: Sequence[bytes], *, number: int) -> bool:
        """Keep events of a stream, each once, however often it is given.

        Args:
            id_: The response's.
            frames: The events, as they are sent.
            number: The `sequence_number` of the first; the others follow it.

        Returns:
            Whether the response is under way: False if it has ended, or was deleted.
        """
        with self._database.writing_aside() as connection:
            if not _is_under_way(connection, id_):
                return False
            _append(connection, id_, frames, number=number)
            return True

    def end(
        self, id_: str, body: Mapping[str, Any], *, frames: Sequence[bytes] = (), number: int = 0
    ) -> bool:
        """Keep a response's last word; False if there is one, or it was deleted.

        Args:
            id_: The response's.
            body: The response object.
            frames: The last events of its stream, as for `append`.
            number: As for `append`.
        """
        with self._database.writing_aside() as connection:
            if not _is_under_way(connection, id_):
                return False
            _append(connection, id_, frames, number=number)
            self._end(connection, id_, body)
            return True

    def lose(self, id_: str, body: Mapping[str, Any], *, last: Callable[[int], bytes]) -> bool:
        """As `end`, for a response whose worker is gone.

        Args:
            id_: The response's.
            body: The response object.
            last: Makes the last event of its stream of its `sequence_number`.
        """
        with self._database.writing_aside() as connection:
            if not _is_under_way(connection, id_):
                return False
            number = _next(connection, id_)
            _append(connection, id_, [last(number)], number=number)
            self._end(connection, id_, body)
            return True

    def find(self, id_: str, *, owner: str) -> Kept | None:
        """A response; None if there is none of that id, or it is not the owner's."""
        if not may_be_id(id_):
            return None
        query = select(responses).where(
            responses.c.id == id_, responses.c.owner == owner, self._is_alive()
        )
        with self._database.reading() as connection:
            row = connection.execute(query).first()
        return None if row is None else _kept(row)

    def delete(self, id_: str, *, owner: str) -> bool:
        """Delete a response; gives whether there was one."""
        with self._database.writing_aside() as connection:
            own = delete(responses).where(responses.c.id == id_, responses.c.owner == owner)
            return bool(connection.execute(own).rowcount)

    def purge(self) -> int:
        """Delete what has expired, and is not under way; gives the number of it."""
        left_behind = responses.c.worker.not_in(select(workers.c.id))
        old = and_(
            responses.c.expires_at <= self._clock(),
            or_(responses.c.has_ended.is_(True), left_behind),
        )
        with self._database.writing_aside() as connection:
            return connection.execute(delete(responses).where(old)).rowcount

    def _end(self, connection: Connection, id_: str, body: Mapping[str, Any]) -> None:
        expiry = self._clock() + self._keep_seconds
        values = {"body": body, "has_ended": True, "expires_at": expiry}
        connection.execute(update(responses).where(responses.c.id == id_).values(**values))

    def _is_alive(self) -> ColumnElement[bool]:
        return or_(responses.c.has_ended.is_(False), responses.c.expires_at > self._clock())


def may_be_id(text: str) -> bool:
    """Whether a database can be asked for it: some refuse what no id has in it."""
    return text.isascii() and text.isprintable()


def _is_under_way(connection: Connection, id_: str) -> bool:
    """Whether a response has not ended, nor does before the transaction is over."""
    row = responses.c
    open_ = select(row.id).where(row.id == id_, row.has_ended.is_(False)).with_for_update()
    return connection.execute(open_).first() is not None


def _next(connection: Connection, id_: str) -> int:
    """The number of the first event that is not kept yet."""
    rows = response_frames.c
    known = select(func.max(rows.next)).where(rows.response == id_)
    return connection.execute(known).scalar() or 0


def _append(connection: Connection, id_: str, frames: Sequence[bytes], *, number: int) -> None:
    end = number + len(frames)
    # A commit whose answer was lost on its way is tried again.
    start = max(number, _next(connection, id_)) if frames else end
    if start < end:
        data = b"".join(frames[start - number :])
        row = {"response": id_, "number": start, "next": end, "data": data}
        connection.execute(insert(response_frames).values(**row))


def _kept(row: Row[Any]) -> Kept:
    return Kept(**{name: getattr(row, name) for name in Kept.__slots__})
