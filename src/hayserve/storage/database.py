"""The database of a server: opened once, read and written by any number of threads."""

import logging
import sqlite3
from collections.abc import Collection, Generator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from threading import RLock
from typing import Any

from sqlalchemy import Connection, Engine, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import (
    DatabaseError,
    DBAPIError,
    InterfaceError,
    OperationalError,
    SQLAlchemyError,
)
from sqlalchemy.exc import TimeoutError as PoolExhausted

from hayserve.errors import Misconfigured, StorageUnavailable
from hayserve.storage.address import address
from hayserve.storage.commits import Commits
from hayserve.storage.engines import Engines
from hayserve.storage.migrate import bring_up_to_date, is_up_to_date
from hayserve.storage.postgres import postgres_engines
from hayserve.storage.sqlite import make_file, sqlite_engines, sqlite_look, write_ahead

logger = logging.getLogger(__name__)


class Database:
    """One database. Its methods block; call them in threads.

    Args:
        url: `sqlite:///path/to/file.db`, `sqlite://` (in memory, gone when it is closed) or
            `postgresql://user:password@host/database`.

    Raises:
        Misconfigured: No database of a kind that is known.
    """

    def __init__(self, url: str) -> None:
        self.address = address(url)
        self.commits = Commits()
        self._engines: Engines | None = None
        # In memory there is one connection, and threads take turns.
        self._turn: AbstractContextManager[Any] = (
            RLock() if self.address.is_in_memory else nullcontext()
        )
        # SQLite lets writers try again and again, whoever came first; these here queue up instead.
        self._writers_turn: AbstractContextManager[Any] = (
            RLock() if self.address.is_sqlite else nullcontext()
        )

    @property
    def is_shared(self) -> bool:
        """Whether other processes can see it."""
        return not self.address.is_in_memory

    @property
    def engine(self) -> Engine:
        """Where `reading` gets its connections."""
        return self._opened().reader

    def open(self) -> None:
        """Make what is missing, and bring the tables to the version that this program needs.

        Raises:
            Misconfigured: It cannot be reached or opened, or belongs to a newer program.
        """
        with self._openable():
            self._engines = self._found()
            bring_up_to_date(self._engines)

    def look(self) -> bool:
        """Open what is there, only to read it: nothing is made and nothing changed.

        Returns:
            Whether there is a database with the tables that this program needs.

        Raises:
            Misconfigured: It cannot be reached or opened.
        """
        with self._openable():
            if not self.address.is_sqlite:
                self._engines = postgres_engines(self.address)
            elif (path := Path(self.address.url.database or "")).is_file():
                self._engines = sqlite_look(path)
            return self._engines is not None and is_up_to_date(self._engines)

    def close(self) -> None:
        """Close its connections, when no thread uses them any more."""
        if self._engines is not None:
            with self._turn:
                self._engines.close()
                self._engines = None

    @contextmanager
    def reading(self) -> Generator[Connection]:
        """A connection that sees one state of the database from its first query to its last.

        Raises:
            StorageUnavailable: The database does not answer.
        """
        with self._answered(), self._turn, self.engine.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Generator[Connection]:
        """A connection in a transaction that ends with the block; one at a time, everywhere.

        Raises:
            StorageUnavailable: The database does not answer, or others write for too long.
        """
        with self._alone(), self._opened().writer.begin() as connection:
            yield connection
        self.commits.add()

    @contextmanager
    def writing_aside(self) -> Generator[Connection]:
        """Like `writing`, for rows that nobody follows: no watch is woken.

        On PostgreSQL others may write at the same time, so each statement has to be right by
        itself.

        Raises:
            StorageUnavailable: As for `writing`.
        """
        with self._alone(), self._opened().aside.begin() as connection:
            yield connection

    @contextmanager
    def _alone(self) -> Generator[None]:
        with self._writers_turn, self._answered(), self._turn:
            yield

    def _opened(self) -> Engines:
        if self._engines is None:
            raise StorageUnavailable(f"The database {self.address.shown} is not open")
        return self._engines

    @contextmanager
    def _openable(self) -> Generator[None]:
        try:
            yield
        except Misconfigured:
            self.close()
            raise
        except (SQLAlchemyError, sqlite3.Error, OSError) as error:
            self.close()
            raise Misconfigured(
                f"The database {self.address.shown} cannot be opened: {reason_of(error)}",
                hint="Check the setting `database_url`, and who may read and write there.",
            ) from error

    def _found(self) -> Engines:
        if not self.address.is_sqlite:
            return postgres_engines(self.address)
        if not self.address.is_in_memory:
            path = Path(self.address.url.database or "")
            make_file(path)
            write_ahead(path)
        return sqlite_engines(self.address)

    @contextmanager
    def _answered(self) -> Generator[None]:
        try:
            yield
        except (DBAPIError, PoolExhausted) as error:
            if not is_the_databases_fault(error):
                raise
            extra = {"database": self.address.shown, "reason": reason_of(error)}
            logger.warning("storage_unavailable", extra=extra)
            raise StorageUnavailable(
                "The server's database does not answer",
                hint="Try again; the server's log says why.",
            ) from error


def upsert(
    connection: Connection, table: Table, row: Mapping[str, Any], *, keys: Collection[str]
) -> None:
    """Insert `row`; if there is one with the same `keys`, give that one its other values.

    `keys` are the columns of the primary key or of a unique constraint. Columns that are not
    in `row` keep what they have.
    """
    insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    statement = insert(table).values(**row)
    others = {name: statement.excluded[name] for name in row if name not in keys}
    if others:
        statement = statement.on_conflict_do_update(index_elements=list(keys), set_=others)
    else:
        statement = statement.on_conflict_do_nothing(index_elements=list(keys))
    connection.execute(statement)


def is_the_databases_fault(error: SQLAlchemyError) -> bool:
    """Whether the database failed, and not the statement."""
    if isinstance(error, OperationalError | InterfaceError | PoolExhausted):
        return True
    # A damaged file is told with the class that all others come from. A standby, and whoever
    # writes in `reading`, is refused with PostgreSQL's state 25006.
    cause = error.orig if isinstance(error, DBAPIError) else None
    return type(error) is DatabaseError or getattr(cause, "sqlstate", None) == "25006"


def reason_of(error: Exception) -> str:
    """What the database said, without the statement and its values."""
    said = str(error.orig) if isinstance(error, DBAPIError) else str(error)
    return said.strip().partition("\n")[0]
