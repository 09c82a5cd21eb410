"""Tables that are missing, old, new, or somebody else's."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, create_engine, inspect, select, text

from hayserve.errors import Misconfigured
from hayserve.storage.database import Database
from hayserve.storage.migrate import HISTORY, alembic_version, version_of
from hayserve.storage.tables import contents, deployments, metadata, names
from hayserve.storage.upgrade import downgrade

# What a process runs that knows a second version: `deployments` has a new column.
NEWER = """
import sys
from pathlib import Path
from sqlalchemy import Column, MetaData, Table, Text
from hayserve.storage.address import address
from hayserve.storage.migrate import History, bring_up_to_date
from hayserve.storage.postgres import postgres_engines
from hayserve.storage.sqlite import sqlite_engines

found = address(sys.argv[1])
engines = sqlite_engines(found) if found.is_sqlite else postgres_engines(found)
bring_up_to_date(engines, History(MetaData(), ("0001", "0002"), Path(sys.argv[2])))
engines.close()
"""
SECOND = '''
"""Deployments have an owner."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table("upgrades", sa.Column("number", sa.Integer, primary_key=True))
    with op.batch_alter_table("deployments", recreate="auto") as table:
        table.add_column(sa.Column("owner", sa.Text, nullable=False, server_default="all"))
        table.alter_column("keep", nullable=True)
'''
OPEN = """
import sys
from hayserve.storage.database import Database

database = Database(sys.argv[1])
database.open()
database.close()
print("alembic" in sys.modules)
"""


def started(code: str, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def outcome(process: subprocess.Popen[str]) -> tuple[int, str]:
    said, _ = process.communicate(timeout=25)
    return process.returncode, said


def opened(url: str) -> Database:
    database = Database(url)
    database.open()
    return database


def version(database: Database) -> str | None:
    with database.reading() as connection:
        return version_of(connection)


def set_version(database: Database, to: str) -> None:
    with database.writing() as connection:
        connection.execute(alembic_version.update().values(version_num=to))


def test_a_new_database_has_the_tables_of_now(database_url: str) -> None:
    database = opened(database_url)

    assert version(database) == HISTORY.newest
    assert {*inspect(database.engine).get_table_names()} == {*metadata.tables, "alembic_version"}
    database.close()


def test_processes_that_open_it_at_once_make_it_once(database_url: str) -> None:
    processes = [started(OPEN, database_url) for _ in range(4)]

    # And none needs what is slow to import.
    assert [outcome(process) for process in processes] == [(0, "False\n")] * 4


def test_what_is_in_it_stays(database_url: str) -> None:
    database = opened(database_url)
    with database.writing() as connection:
        connection.execute(contents.insert().values(sha256="a", data=b"x"))
    database.close()
    database.open()
    with database.reading() as connection:
        assert connection.execute(select(contents)).all() == [("a", b"x")]
    database.close()


def test_a_database_of_a_newer_program_is_left_alone(database_url: str) -> None:
    database = opened(database_url)
    set_version(database, "9999")
    database.close()

    with pytest.raises(Misconfigured, match="version '9999'; this program knows up to") as refusal:
        database.open()
    assert "newest hayserve" in refusal.value.hint

    engine = create_engine(database.address.url)
    with engine.connect() as connection:
        assert version_of(connection) == "9999"
    engine.dispose()


def test_a_database_of_another_program_is_left_alone(database_url: str) -> None:
    database = Database(database_url)
    engine = create_engine(database.address.url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE workers (name TEXT)"))

    with pytest.raises(Misconfigured, match="table 'workers' that another program made"):
        database.open()

    assert inspect(engine).get_table_names() == ["workers"]
    engine.dispose()


def test_a_database_that_was_emptied_is_made_anew(database_url: str) -> None:
    database = opened(database_url)
    with database.writing() as connection:
        downgrade(connection, HISTORY.folder, to="base")
    left = inspect(database.engine).get_table_names()
    database.close()
    database.open()

    assert left == ["alembic_version"]
    assert version(database) == HISTORY.newest
    database.close()


@pytest.fixture
def newer(tmp_path: Path) -> str:
    """A folder of migrations that knows one more than this program does."""
    folder = tmp_path / "100 % new migrations"
    (folder / "versions").mkdir(parents=True)
    for each in [HISTORY.folder / "env.py", *(HISTORY.folder / "versions").glob("*.py")]:
        (folder / each.relative_to(HISTORY.folder)).write_bytes(each.read_bytes())
    (folder / "versions" / "0002_owner.py").write_text(SECOND)
    return str(folder)


def rows(connection: Connection | Engine, sql: str) -> list[tuple[Any, ...]]:
    if isinstance(connection, Engine):
        with connection.connect() as own:
            return rows(own, sql)
    return [tuple(row) for row in connection.execute(text(sql))]


def test_an_older_database_is_upgraded_by_one_of_many_processes(
    database_url: str, newer: str
) -> None:
    database = opened(database_url)
    row = {"name": "a", "revision": 1, "aliases": ["b"], "keep": True, "position": 0}
    with database.writing() as connection:
        connection.execute(deployments.insert().values(**row))
        connection.execute(names.insert().values(name="b", deployment="a"))
    database.close()

    processes = [started(NEWER, database_url, newer) for _ in range(3)]

    assert [outcome(process) for process in processes] == [(0, "")] * 3
    engine = create_engine(database.address.url)
    assert rows(engine, "SELECT version_num FROM alembic_version") == [("0002",)]
    assert rows(engine, "SELECT name, owner FROM deployments") == [("a", "all")]
    assert rows(engine, "SELECT name, deployment FROM names") == [("b", "a")]
    engine.dispose()
