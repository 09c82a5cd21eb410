"""The migrations and the tables say the same."""

from collections.abc import Generator
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine, inspect, text

from hayserve.storage.address import address
from hayserve.storage.migrate import HISTORY, version_of
from hayserve.storage.tables import metadata
from hayserve.storage.upgrade import downgrade, upgrade


@pytest.fixture
def engine(database_url: str) -> Generator[Engine]:
    engine = create_engine(address(database_url).url)
    yield engine
    engine.dispose()


def test_all_migrations_together_make_the_tables_of_now(engine: Engine) -> None:
    with engine.begin() as connection:
        upgrade(connection, HISTORY.folder)

    with engine.connect() as connection:
        difference: list[Any] = compare_metadata(MigrationContext.configure(connection), metadata)
        assert version_of(connection) == HISTORY.newest
    assert difference == []


def statements(engine: Engine) -> set[str]:
    with engine.connect() as connection:
        found = connection.execute(text("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL"))
        return {" ".join(row.sql.split()) for row in found if "alembic" not in row.sql}


def test_they_do_so_to_the_letter(sqlite_url: str) -> None:
    """Also what a comparison does not look at, as that numbers are not used twice."""
    migrated, made = create_engine(f"{sqlite_url}-migrated"), create_engine(sqlite_url)
    with migrated.begin() as connection:
        upgrade(connection, HISTORY.folder)
    metadata.create_all(made)

    assert statements(migrated) == statements(made)
    migrated.dispose()
    made.dispose()


def test_they_can_be_undone(engine: Engine) -> None:
    with engine.begin() as connection:
        upgrade(connection, HISTORY.folder)
    with engine.begin() as connection:
        downgrade(connection, HISTORY.folder, to="base")

    assert inspect(engine).get_table_names() == ["alembic_version"]


def test_the_program_knows_every_version() -> None:
    known = [script.revision for script in ScriptDirectory(HISTORY.folder).walk_revisions()]

    assert tuple(reversed(known)) == HISTORY.versions
