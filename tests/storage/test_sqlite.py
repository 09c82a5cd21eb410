"""The file of SQLite and how it is used."""

import sqlite3
from contextlib import closing
from pathlib import Path
from threading import Event, Thread

import pytest

from hayserve.storage.database import Database
from hayserve.storage.sqlite import write_ahead


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_only_this_user_can_read_the_file_and_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "new" / "hayserve.db"
    database = Database(f"sqlite:///{path}")
    database.open()
    with database.reading():
        found = {each.name: mode(each) for each in path.parent.iterdir()}
    database.close()

    assert mode(path.parent) == 0o700
    assert found == {"hayserve.db": 0o600, "hayserve.db-wal": 0o600, "hayserve.db-shm": 0o600}


def test_a_file_that_exists_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "hayserve.db"
    path.touch()
    path.chmod(0o640)
    database = Database(f"sqlite:///{path}")
    database.open()
    database.close()

    assert mode(path) == 0o640


def test_commits_are_on_the_disk_and_references_hold(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    database.open()
    with database.writing() as connection:
        found = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    database.close()

    assert found == {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "busy_timeout": 10_000,
    }


def held(path: Path, free: Event, taken: Event) -> None:
    """Keep everybody else out of the file until `free`."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        taken.set()
        free.wait(20)
        connection.execute("COMMIT")


def test_the_log_is_switched_on_when_others_let_go_of_the_file(tmp_path: Path) -> None:
    path, free, taken = tmp_path / "x.db", Event(), Event()
    holder = Thread(target=held, args=(path, free, taken))
    holder.start()
    taken.wait(20)
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        write_ahead(path, patience_seconds=0)
    switching = Thread(target=write_ahead, args=(path,))
    switching.start()
    free.set()
    holder.join()
    switching.join()

    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
