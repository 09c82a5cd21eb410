"""Waiting for changes, the same on every database."""

from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from time import monotonic

import pytest

from hayserve.storage.database import Database
from hayserve.storage.tables import contents
from hayserve.storage.watch import watch


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def here(request: pytest.FixtureRequest) -> Generator[Database]:
    in_memory = request.param == "memory"
    url = "sqlite://" if in_memory else request.getfixturevalue(f"{request.param}_url")
    database = Database(url)
    database.open()
    yield database
    database.close()


@pytest.fixture
def elsewhere(here: Database) -> Generator[Database]:
    """The same database, opened as another process would."""
    if not here.is_shared:
        yield here
        return
    other = Database(here.engine.url.render_as_string(hide_password=False))
    other.open()
    yield other
    other.close()


def change(database: Database, sha256: str = "a") -> None:
    with database.writing() as connection:
        connection.execute(contents.insert().values(sha256=sha256, data=b""))


def test_nothing_happens(here: Database) -> None:
    change(here)
    with closing(watch(here)) as watching:
        before = monotonic()

        assert not watching.wait(0)
        assert not watching.wait(0.05)
        assert monotonic() - before >= 0.05


def test_a_change_of_another_process_is_seen_once(here: Database, elsewhere: Database) -> None:
    with closing(watch(here)) as watching, ThreadPoolExecutor() as threads:
        waiting = threads.submit(watching.wait, 20)
        change(elsewhere)

        assert waiting.result(timeout=10)
        assert not watching.wait(0)


def test_a_change_between_two_waits_is_not_missed(here: Database, elsewhere: Database) -> None:
    with closing(watch(here)) as watching:
        assert not watching.wait(0)
        change(elsewhere, "a")
        change(elsewhere, "b")

        assert watching.wait(20)
        assert not watching.wait(0)


def test_a_change_of_the_own_process_is_seen(here: Database) -> None:
    with closing(watch(here)) as watching:
        change(here)

        assert watching.wait(20)


def test_what_is_written_aside_wakes_nobody(here: Database, elsewhere: Database) -> None:
    with closing(watch(here)) as watching:
        for database in (here, elsewhere):
            with database.writing_aside() as connection:
                connection.execute(contents.insert().values(sha256=str(id(database)), data=b""))
                connection.execute(contents.delete())

        assert not watching.wait(0.05)
        change(elsewhere)
        assert watching.wait(20)


def test_what_is_taken_back_is_no_change(here: Database, elsewhere: Database) -> None:
    with closing(watch(here)) as watching:
        with pytest.raises(ZeroDivisionError), elsewhere.writing():
            _ = 1 / 0

        assert not watching.wait(0.03)


def test_the_end_of_the_watch_wakes_who_waits(here: Database) -> None:
    watching = watch(here)
    watching.poll_seconds = 20
    with ThreadPoolExecutor() as threads:
        waiting = threads.submit(watching.wait, 20)
        watching.close()

        assert not waiting.result(timeout=10)
    watching.close()
    assert not watching.wait(20)
