"""A database, and a clock that stands still."""

from collections.abc import Generator

import pytest

from hayserve.storage.database import Database


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def database(database_url: str) -> Generator[Database]:
    database = Database(database_url)
    database.open()
    yield database
    database.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()
