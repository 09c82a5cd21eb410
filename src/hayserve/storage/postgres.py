"""How PostgreSQL is used: one writer at a time, readers see one state, commits are announced."""

from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event

from hayserve.errors import Misconfigured
from hayserve.storage.address import Address
from hayserve.storage.engines import Engines

CHANNEL = "hayserve"
WRITERS_LOCK = int.from_bytes(b"hayserve")
CONNECTION = {
    "application_name": "hayserve",
    "connect_timeout": 10,
    # A machine that is gone says nothing: ask it, and give up after some 25 seconds.
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
}


def postgres_engines(address: Address) -> Engines:
    """Nothing is connected yet.

    Raises:
        Misconfigured: The driver is not installed.
    """
    try:
        engine = create_engine(
            address.url,
            connect_args=_defaults(address),
            pool_pre_ping=True,
            hide_parameters=True,
        )
    except ImportError as error:
        raise Misconfigured(
            "PostgreSQL needs a driver that is not installed",
            hint="pip install 'hayserve[postgres]'",
        ) from error
    writer, aside = (engine.execution_options(isolation_level="READ COMMITTED") for _ in range(2))
    for each in (writer, aside):
        event.listen(each, "begin", _limit_waits)
    event.listen(writer, "begin", _wait_for_turn)
    event.listen(writer, "commit", _announce)
    return Engines(
        # What is read in one transaction is one state, as with SQLite.
        reader=engine.execution_options(
            isolation_level="REPEATABLE READ", postgresql_readonly=True
        ),
        writer=writer,
        aside=aside,
    )


def connection_arguments(engine: Engine) -> dict[str, Any]:
    """What `psycopg.connect` is called with for a connection of `engine`."""
    _, arguments = engine.dialect.create_connect_args(engine.url)
    return {**CONNECTION, **arguments}


def _defaults(address: Address) -> dict[str, Any]:
    """Arguments of a connection that the URL says nothing about."""
    return {name: value for name, value in CONNECTION.items() if name not in address.url.query}


def _limit_waits(connection: Connection) -> None:
    # A process that stopped in its transaction must not keep the others out for ever.
    connection.exec_driver_sql(
        "SELECT set_config('lock_timeout', '10s', true),"
        " set_config('idle_in_transaction_session_timeout', '30s', true)"
    )


def _wait_for_turn(connection: Connection) -> None:
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({WRITERS_LOCK})")


def _announce(connection: Connection) -> None:
    connection.exec_driver_sql(f"NOTIFY {CHANNEL}")
