"""Keeps files that clients upload, in pieces, so that none is ever in memory as a whole."""

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, delete, insert, or_, select, update

from hayserve.storage.database import Database
from hayserve.storage.tables import file_pieces, files

PIECE_BYTES = 256 * 1024
# What was begun so long ago and is not whole will never be: its worker is gone.
GIVEN_UP_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class File:
    """A file that is kept.

    Args:
        id: Its id.
        owner: Stands for the key that uploaded it; nobody else is shown it.
        name: What its owner calls it.
        purpose: What it is for, in OpenAI's words.
        media_type: What kind of content it says it has.
        size: In bytes.
        created_at: Seconds since 1970.
        expires_at: When it is deleted, in seconds since 1970.
    """

    id: str
    owner: str
    name: str
    purpose: str
    media_type: str
    size: int
    created_at: float
    expires_at: float


class Files:
    """The files of all workers that share a database. The methods block.

    Args:
        database: Where they are kept.
        clock: Seconds since 1970.

    Raises:
        StorageUnavailable: From each method, if the database does not answer.
    """

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock

    def begin(self, file: File) -> None:
        """Make room for a file; it is not shown before `end`."""
        row = {name: getattr(file, name) for name in File.__slots__}
        with self._database.writing_aside() as connection:
            connection.execute(insert(files).values(**row, is_whole=False))

    def add(self, id_: str, piece: bytes, *, number: int) -> None:
        """Keep a piece of a file; the first has the number 0."""
        with self._database.writing_aside() as connection:
            connection.execute(insert(file_pieces).values(file=id_, number=number, data=piece))

    def end(self, id_: str, size: int) -> None:
        """Show a file: all of it is there."""
        with self._database.writing_aside() as connection:
            whole = update(files).where(files.c.id == id_)
            connection.execute(whole.values(size=size, is_whole=True))

    def find(self, id_: str, *, owner: str) -> File | None:
        """A file; None if there is none of that id, or it is not the owner's."""
        query = select(files).where(self._own(owner), files.c.id == id_)
        with self._database.reading() as connection:
            row = connection.execute(query).first()
        return None if row is None else _file(row)

    def owned(self, owner: str) -> list[File]:
        """All files of an owner, the newest first."""
        newest = (files.c.created_at.desc(), files.c.id)
        query = select(files).where(self._own(owner)).order_by(*newest)
        with self._database.reading() as connection:
            return [_file(row) for row in connection.execute(query)]

    def piece(self, id_: str, number: int) -> bytes | None:
        """A piece of a file; None after the last."""
        rows = file_pieces.c
        query = select(rows.data).where(rows.file == id_, rows.number == number)
        with self._database.reading() as connection:
            return connection.execute(query).scalar()

    def content(self, id_: str) -> Generator[bytes]:
        """A file's pieces, one after the other."""
        number = 0
        while (piece := self.piece(id_, number)) is not None:
            yield piece
            number += 1

    def delete(self, id_: str, *, owner: str) -> bool:
        """Delete a file; gives whether there was one."""
        with self._database.writing_aside() as connection:
            own = delete(files).where(files.c.id == id_, files.c.owner == owner)
            return bool(connection.execute(own).rowcount)

    def purge(self) -> int:
        """Delete what has expired, and what was begun and never ended; gives the number of it."""
        row, now = files.c, self._clock()
        given_up = and_(row.is_whole.is_(False), row.created_at <= now - GIVEN_UP_SECONDS)
        old = or_(row.expires_at <= now, given_up)
        with self._database.writing_aside() as connection:
            return connection.execute(delete(files).where(old)).rowcount

    def _own(self, owner: str) -> ColumnElement[bool]:
        row = files.c
        return and_(row.owner == owner, row.is_whole.is_(True), row.expires_at > self._clock())


def _file(row: Row[Any]) -> File:
    return File(**{name: getattr(row, name) for name in File.__slots__})
