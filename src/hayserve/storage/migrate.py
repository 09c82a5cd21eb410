"""Brings the tables of a database to the newest version, whoever else is at it."""

import logging
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Column, Connection, MetaData, String, Table, inspect, select

from hayserve.errors import Misconfigured
from hayserve.storage import tables
from hayserve.storage.engines import Engines
from hayserve.storage.sqlite import WITHOUT_FOREIGN_KEYS

logger = logging.getLogger(__name__)

# Alembic's own, made here because a new database does without Alembic, which is slow to import.
alembic_version = Table(
    "alembic_version", MetaData(), Column("version_num", String(32), primary_key=True)
)


@dataclass(frozen=True, slots=True)
class History:
    """What the tables are now, the versions they had, and Alembic's folder that knows the way."""

    metadata: MetaData
    versions: tuple[str, ...]
    folder: Path

    @property
    def newest(self) -> str:
        return self.versions[-1]


HISTORY = History(tables.metadata, ("0001",), Path(__file__).parent / "migrations")


def bring_up_to_date(engines: Engines, history: History = HISTORY) -> None:
    """Make the tables, or change them to what they should be; one process at a time does it.

    Raises:
        Misconfigured: A newer program made the tables, or another one.
    """
    if is_up_to_date(engines, history):
        return
    # SQLite changes a table by making it anew, which no reference to it may hinder.
    writer = engines.writer.execution_options(**{WITHOUT_FOREIGN_KEYS: True})
    with writer.begin() as connection:
        version = version_of(connection)
        if version is None:
            _make(connection, history)
        elif version != history.newest:
            _upgrade(connection, history, version)


def is_up_to_date(engines: Engines, history: History = HISTORY) -> bool:
    """Whether the tables are there, as this program needs them."""
    with engines.reader.connect() as connection:
        return version_of(connection) == history.newest


def version_of(connection: Connection) -> str | None:
    """The version of the tables, if there are any."""
    if not inspect(connection).has_table(alembic_version.name):
        return None
    return connection.execute(select(alembic_version.c.version_num)).scalar()


def _make(connection: Connection, history: History) -> None:
    strangers = {*inspect(connection).get_table_names()} & {*history.metadata.tables}
    if strangers:
        raise Misconfigured(
            f"The database has a table {min(strangers)!r} that another program made",
            hint="Give hayserve a database of its own.",
        )
    history.metadata.create_all(connection, checkfirst=False)
    alembic_version.create(connection, checkfirst=True)
    connection.execute(alembic_version.insert().values(version_num=history.newest))


def _upgrade(connection: Connection, history: History, version: str) -> None:
    if version not in history.versions:
        raise Misconfigured(
            f"The database has version {version!r}; this program knows up to {history.newest!r}",
            hint="Run the newest hayserve that used it, or give this one a database of its own.",
        )
    from hayserve.storage.upgrade import upgrade  # noqa: PLC0415  rare, and slow to import

    upgrade(connection, history.folder)
    logger.info("database_upgraded", extra={"from": version, "to": history.newest})
