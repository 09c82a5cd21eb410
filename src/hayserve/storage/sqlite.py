"""How SQLite is used: one writer at a time, readers never wait, commits survive a power cut."""

import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from time import monotonic, sleep

from sqlalchemy import Connection, NullPool, StaticPool, create_engine, event

from hayserve.storage.address import Address
from hayserve.storage.engines import Engines

BUSY_SECONDS = 10.0
WITHOUT_FOREIGN_KEYS = "hayserve_without_foreign_keys"


def sqlite_engines(address: Address) -> Engines:
    """Nothing is opened yet."""
    arguments = {"timeout": BUSY_SECONDS, "isolation_level": None, "check_same_thread": False}
    if address.is_in_memory:
        engine = create_engine(
            "sqlite://", connect_args=arguments, poolclass=StaticPool, hide_parameters=True
        )
    else:
        engine = create_engine(address.url, connect_args=arguments, hide_parameters=True)
    event.listen(engine, "connect", _prepare)
    reader, writer, aside = (engine.execution_options() for _ in range(3))
    event.listen(reader, "begin", _begin_to_read)
    for each in (writer, aside):
        event.listen(each, "begin", _begin_to_write)
    event.listen(writer, "commit", _count)
    return Engines(reader, writer, aside)


def sqlite_look(path: Path) -> Engines:
    """Ways to read the file at `path` that leave no trace: not even a log beside it."""
    # Without a log beside the file nobody writes; a reader would make one for itself.
    mode = "mode=ro" if path.with_name(f"{path.name}-wal").exists() else "immutable=1"
    uri = f"{path.absolute().as_uri()}?{mode}"

    def connected() -> sqlite3.Connection:
        return sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None)

    reader = create_engine("sqlite://", creator=connected, poolclass=NullPool, hide_parameters=True)
    event.listen(reader, "begin", _begin_to_read)
    return Engines(reader, reader, reader)


def make_file(path: Path) -> None:
    """An empty file and its folder that only this user can read, unless they exist."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # A file that exists is not even opened: closing it would give up SQLite's locks on it.
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def write_ahead(path: Path, *, patience_seconds: float = BUSY_SECONDS) -> None:
    """Switch the file to the write-ahead log for good; a file that is there already stays.

    SQLite itself does not wait for its lock here, whatever the busy timeout is.
    """
    deadline = monotonic() + patience_seconds
    with closing(sqlite3.connect(path, timeout=0)) as connection:
        while True:
            try:
                connection.execute("PRAGMA journal_mode=WAL")
            except sqlite3.OperationalError:
                if monotonic() > deadline:
                    raise
                sleep(0.01)
            else:
                return


def _prepare(connection: sqlite3.Connection, _record: object) -> None:
    connection.execute("PRAGMA synchronous=FULL")


def _begin_to_read(connection: Connection) -> None:
    connection.exec_driver_sql("PRAGMA query_only=ON")
    connection.exec_driver_sql("BEGIN")


def _begin_to_write(connection: Connection) -> None:
    keys = "OFF" if connection.get_execution_options().get(WITHOUT_FOREIGN_KEYS) else "ON"
    connection.exec_driver_sql(f"PRAGMA foreign_keys={keys}")
    connection.exec_driver_sql("PRAGMA query_only=OFF")
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _count(connection: Connection) -> None:
    """Change the number that is watched; it is part of the transaction."""
    number = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
    connection.exec_driver_sql(f"PRAGMA user_version={(number + 1) % 2**31}")
