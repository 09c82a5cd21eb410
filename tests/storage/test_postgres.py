"""How PostgreSQL is used."""

import sys
import traceback

import pytest
from sqlalchemy import select

from hayserve.errors import Misconfigured
from hayserve.storage.address import address
from hayserve.storage.database import Database
from hayserve.storage.postgres import connection_arguments, postgres_engines
from hayserve.storage.tables import contents


def test_without_the_driver_one_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(Misconfigured) as refusal:
        Database("postgresql://me@db.example/hayserve").open()

    assert refusal.value.hint == "pip install 'hayserve[postgres]'"


def test_a_server_that_does_not_answer_is_told_without_the_password() -> None:
    database = Database("postgresql://me:secret@127.0.0.1:1/hayserve")
    with pytest.raises(Misconfigured) as refusal:
        database.open()

    assert "postgresql://me:***@127.0.0.1:1/hayserve" in str(refusal.value)
    assert "refused" in str(refusal.value)
    assert "database_url" in refusal.value.hint
    assert "secret" not in "".join(traceback.format_exception(refusal.value))


def test_an_option_that_the_driver_does_not_know_is_told(postgres_url: str) -> None:
    with pytest.raises(Misconfigured, match="colour"):
        Database(f"{postgres_url}&colour=red").open()


def test_a_writer_does_not_wait_or_stop_for_ever(postgres_url: str) -> None:
    database = Database(postgres_url)
    database.open()
    with database.writing() as connection:
        found = [
            connection.exec_driver_sql(f"SHOW {name}").scalar()
            for name in ("lock_timeout", "idle_in_transaction_session_timeout")
        ]
    with database.reading() as connection:
        after = connection.exec_driver_sql("SHOW lock_timeout").scalar()
    database.close()

    assert found == ["10s", "30s"]
    assert after == "0"


def test_who_writes_aside_does_not_wait_for_a_writer(postgres_url: str) -> None:
    database = Database(postgres_url)
    database.open()
    with database.writing() as writer:
        writer.execute(contents.insert().values(sha256="a", data=b""))
        with database.writing_aside() as connection:
            connection.execute(contents.insert().values(sha256="b", data=b""))
            limit = connection.exec_driver_sql("SHOW lock_timeout").scalar()
    with database.reading() as connection:
        found = connection.scalars(select(contents.c.sha256).order_by(contents.c.sha256)).all()
    database.close()

    assert (found, limit) == (["a", "b"], "10s")


def test_the_url_has_the_last_word_on_how_to_connect() -> None:
    engines = postgres_engines(address("postgresql://me@db.example/x?connect_timeout=3"))

    arguments = connection_arguments(engines.reader)

    assert arguments["connect_timeout"] == "3"
    assert arguments["application_name"] == "hayserve"
    assert arguments["host"] == "db.example"
