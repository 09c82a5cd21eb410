"""Reading and writing, the same on every database."""

import subprocess
import sys
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Column, Connection, Integer, MetaData, Table, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.exc import TimeoutError as PoolExhausted

from hayserve.errors import Misconfigured, StorageUnavailable
from hayserve.storage.database import Database, is_the_databases_fault, reason_of, upsert
from hayserve.storage.tables import contents, deployments, names


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def database(request: pytest.FixtureRequest) -> Generator[Database]:
    in_memory = request.param == "memory"
    url = "sqlite://" if in_memory else request.getfixturevalue(f"{request.param}_url")
    database = Database(url)
    database.open()
    yield database
    database.close()


def put(connection: Connection, sha256: str, data: bytes) -> None:
    connection.execute(contents.insert().values(sha256=sha256, data=data))


def found(database: Database) -> dict[str, bytes]:
    with database.reading() as connection:
        return {row.sha256: row.data for row in connection.execute(select(contents))}


def test_what_was_written_is_read(database: Database) -> None:
    with database.writing() as connection:
        put(connection, "a", b"\x00\xff")

    assert found(database) == {"a": b"\x00\xff"}


def test_what_was_written_aside_is_read(database: Database) -> None:
    with database.writing_aside() as connection:
        put(connection, "a", b"\x00\xff")

    def fail() -> None:
        with database.writing_aside() as connection:
            connection.execute(contents.delete())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()

    assert found(database) == {"a": b"\x00\xff"}


def test_only_a_database_in_memory_is_for_one_process(database: Database) -> None:
    assert database.is_shared == (str(database.engine.url) != "sqlite://")


def test_a_block_that_raises_leaves_nothing(database: Database) -> None:
    def fail() -> None:
        with database.writing() as connection:
            put(connection, "a", b"")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()

    assert found(database) == {}


def test_a_row_that_may_not_be_is_the_callers_affair(database: Database) -> None:
    with database.writing() as connection:
        put(connection, "a", b"")
    with pytest.raises(IntegrityError), database.writing() as connection:
        put(connection, "a", b"")
    with pytest.raises(IntegrityError), database.writing() as connection:
        connection.execute(names.insert().values(name="a", deployment="nobody"))

    assert found(database) == {"a": b""}


def test_writers_take_turns(database: Database) -> None:
    def count(_: object) -> None:
        with database.writing() as connection:
            seen = connection.execute(select(contents.c.data)).scalar() or b"0"
            row = {"sha256": "count", "data": b"%d" % (int(seen) + 1)}
            upsert(connection, contents, row, keys=["sha256"])

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(count, range(40)))

    assert found(database) == {"count": b"40"}


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_a_reader_sees_one_state(kind: str, request: pytest.FixtureRequest) -> None:
    database = Database(request.getfixturevalue(f"{kind}_url"))
    database.open()
    with database.reading() as connection:
        before = connection.execute(select(contents)).all()
        with database.writing() as writer:
            put(writer, "a", b"")
        after = connection.execute(select(contents)).all()
    now = found(database)
    database.close()

    assert (before, after, now) == ([], [], {"a": b""})


def test_a_reader_does_not_write(database: Database) -> None:
    with pytest.raises(StorageUnavailable), database.reading() as connection:
        put(connection, "a", b"")

    assert found(database) == {}


def test_a_row_is_replaced_where_there_is_one(database: Database) -> None:
    first: dict[str, Any] = {"name": "a", "revision": 1, "aliases": [], "keep": True, "position": 1}
    with database.writing() as connection:
        upsert(connection, deployments, first, keys=["name"])
        upsert(connection, deployments, {**first, "revision": None, "keep": False}, keys=["name"])
        upsert(connection, deployments, {**first, "name": "b"}, keys=["name"])
        upsert(connection, names, {"name": "a", "deployment": "a"}, keys=["name"])
        upsert(connection, names, {"name": "a", "deployment": "b"}, keys=["name"])
    with database.reading() as connection:
        rows = connection.execute(select(deployments).order_by(deployments.c.name)).all()
        named = connection.execute(select(names.c.name, names.c.deployment)).all()

    assert rows == [("a", None, [], False, 1), ("b", 1, [], True, 1)]
    assert named == [("a", "b")]


def test_a_row_that_is_nothing_but_its_key_is_there_once(database: Database) -> None:
    marks = Table("marks", MetaData(), Column("number", Integer, primary_key=True))
    with database.writing() as connection:
        marks.create(connection)
        upsert(connection, marks, {"number": 1}, keys=["number"])
        upsert(connection, marks, {"number": 1}, keys=["number"])
        rows = connection.execute(select(marks)).all()

    assert rows == [(1,)]


def test_a_database_that_is_not_open_does_not_answer(database: Database) -> None:
    database.close()
    database.close()

    with pytest.raises(StorageUnavailable, match="not open"), database.reading():
        pass
    with pytest.raises(StorageUnavailable, match="not open"), database.writing():
        pass


def test_it_can_be_opened_again(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    for number in range(2):
        database.open()
        with database.writing() as connection:
            put(connection, str(number), b"")
        database.close()
    database.open()

    assert found(database) == {"0": b"", "1": b""}
    database.close()


def test_a_file_that_is_damaged_while_it_is_used_is_told(sqlite_url: str, tmp_path: Path) -> None:
    database = Database(sqlite_url)
    database.open()
    with database.writing() as connection:
        put(connection, "a", b"x" * 100_000)
    for each in tmp_path.iterdir():
        each.write_bytes(b"?" * each.stat().st_size)

    with pytest.raises(StorageUnavailable, match="does not answer") as refusal:
        found(database)

    assert refusal.value.__cause__
    database.close()


def test_a_file_of_something_else_is_not_opened(tmp_path: Path) -> None:
    content = b"This is a letter, not a database." * 100
    (tmp_path / "letter").write_bytes(content)

    with pytest.raises(Misconfigured, match="not a database"):
        Database(f"sqlite:///{tmp_path / 'letter'}").open()

    assert (tmp_path / "letter").read_bytes() == content


def test_a_folder_where_the_file_cannot_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(Misconfigured, match="cannot be opened"):
        Database(f"sqlite:///{tmp_path / 'file' / 'hayserve.db'}").open()
    with pytest.raises(Misconfigured, match="cannot be opened"):
        Database(f"sqlite:///{tmp_path}").open()


def test_a_connection_that_is_lost_is_told_and_the_next_one_works(
    postgres_url: str, postgres_server: str
) -> None:
    database = Database(postgres_url)
    database.open()

    def lose() -> None:
        with database.writing() as connection:
            put(connection, "a", b"")
            with psycopg.connect(postgres_server, autocommit=True) as admin:
                admin.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
                    [database.address.url.database],
                )
            put(connection, "b", b"")

    with pytest.raises(StorageUnavailable):
        lose()

    assert found(database) == {}
    database.close()


def test_what_the_database_says_is_told_without_the_values() -> None:
    assert is_the_databases_fault(PoolExhausted("no connection"))
    assert reason_of(PoolExhausted("no connection\nmore")) == "no connection"


def test_the_import_is_light() -> None:
    """A server on SQLite never loads what it does not need."""
    code = """
import sys
from hayserve.storage.database import Database
from hayserve.storage.watch import watch
database = Database("sqlite://")
database.open()
watch(database).close()
database.close()
print({name.partition(".")[0] for name in sys.modules} & {"alembic", "psycopg", "haystack"})
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=25, check=True
    )

    assert done.stdout.strip() == "set()"


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest) -> str:
    found: str = request.getfixturevalue(f"{request.param}_url")
    return found


def test_whoever_only_looks_sees_what_is_there(url: str) -> None:
    database, looking = Database(url), Database(url)
    database.open()
    with database.writing() as connection:
        put(connection, "a", b"1")

    assert looking.look()  # beside one that has it open
    assert found(looking) == {"a": b"1"}
    looking.close()
    database.close()
    assert looking.look()
    assert found(looking) == {"a": b"1"}
    looking.close()


def test_whoever_only_looks_makes_no_tables(url: str) -> None:
    database = Database(url)

    assert not database.look()
    database.close()
    assert not database.look()
    database.close()


def test_whoever_only_looks_leaves_no_trace(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/a folder#/hayserve.db")
    database.open()
    with database.writing() as connection:
        put(connection, "a", b"1")
    database.close()
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}

    assert database.look()
    assert found(database) == {"a": b"1"}
    database.close()
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_whoever_looks_for_a_database_in_memory_finds_none() -> None:
    assert not Database("sqlite://").look()


def test_what_is_no_database_is_refused_to_whoever_looks(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_text("This is a diary, and no database. " * 9)

    with pytest.raises(Misconfigured, match="cannot be opened"):
        Database(f"sqlite:///{tmp_path}/x.db").look()
