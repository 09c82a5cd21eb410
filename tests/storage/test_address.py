"""URLs of databases, and what is told of them."""

import pytest

from hayserve.errors import Misconfigured
from hayserve.storage.address import address


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///data/hayserve.db", "data/hayserve.db"),
        ("sqlite:////var/lib/hayserve.db", "/var/lib/hayserve.db"),
        ("sqlite+pysqlite:///x.db", "x.db"),
    ],
)
def test_a_file_of_sqlite_is_named_by_its_path(url: str, path: str) -> None:
    found = address(url)

    assert found.is_sqlite
    assert not found.is_in_memory
    assert found.url.database == path


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///", "sqlite:///:memory:"])
def test_without_a_path_sqlite_is_in_memory(url: str) -> None:
    assert address(url).is_in_memory


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_all_ways_to_write_postgresql_mean_the_same(scheme: str) -> None:
    found = address(f"{scheme}://me:pa%2Fss@db.example:5433/hayserve?sslmode=require")

    assert (found.is_sqlite, found.is_in_memory) == (False, False)
    assert found.url.drivername == "postgresql+psycopg"
    assert found.url.password == "pa/ss"
    assert found.url.query == {"sslmode": "require"}


def test_what_is_shown_holds_no_password() -> None:
    found = address("postgres://me:secret@db.example/hayserve?password=secret")

    assert found.shown == "postgresql://me:***@db.example/hayserve"
    assert "secret" not in repr(found)


@pytest.mark.parametrize(
    "url",
    [
        "mysql://me:secret@db.example/hayserve",
        "postgresql+asyncpg://me:secret@db.example/hayserve",
        "postgresql://me:secret@db.example:secret/hayserve",
        "me:secret@db.example",
        "sqlite://me:secret@db.example/hayserve",
        "sqlite:///hayserve.db?password=secret",
        "",
    ],
)
def test_anything_else_is_refused_and_its_password_kept(url: str) -> None:
    with pytest.raises(Misconfigured) as refusal:
        address(url)

    assert refusal.value.hint
    assert "secret" not in str(refusal.value)
    assert refusal.value.__cause__ is None
    assert refusal.value.__suppress_context__ or refusal.value.__context__ is None
