"""PostgreSQL's notifications, and connections that are lost."""

import threading

import psycopg
import pytest

from hayserve.storage.database import Database
from hayserve.storage.watch import watch

HANG_UP = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"


@pytest.fixture
def database(postgres_url: str) -> Database:
    database = Database(postgres_url)
    database.open()
    return database


def test_after_a_lost_connection_something_may_have_changed(
    database: Database, postgres_server: str
) -> None:
    watching = watch(database)
    with psycopg.connect(postgres_server, autocommit=True) as admin:
        admin.execute(HANG_UP, [database.address.url.database])

    assert watching.wait(20)
    assert not watching.wait(0)
    watching.close()
    database.close()


def test_a_server_that_is_away_is_called_until_it_is_back(
    database: Database, postgres_server: str
) -> None:
    name = database.address.url.database
    watching = watch(database)
    with psycopg.connect(postgres_server, autocommit=True) as admin:
        admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false".encode())
        admin.execute(HANG_UP, [name])
        away = watching.wait(0.05)
        waiting = threading.Thread(target=watching.wait, args=(20,))
        waiting.start()
        admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true".encode())
        waiting.join(timeout=10)

    assert not away
    assert not waiting.is_alive()
    assert not watching.wait(0)
    watching.close()
    database.close()


def test_a_watch_can_end_while_the_server_is_away(database: Database, postgres_server: str) -> None:
    name = database.address.url.database
    watching = watch(database)
    database.close()
    with psycopg.connect(postgres_server, autocommit=True) as admin:
        admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false".encode())
        admin.execute(HANG_UP, [name])
        assert not watching.wait(0.05)
        watching.close()

    assert not watching.wait(20)
