"""A server that others can reach starts only when somebody has a key of it."""

from pathlib import Path

import pytest

from hayserve.access.keys import Keys
from hayserve.errors import Misconfigured
from hayserve.server.database_url import database_url
from hayserve.server.first_key import check_address
from hayserve.settings import Settings
from hayserve.storage.database import Database
from server.serving import make_key, settings_in


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_in(tmp_path)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1"])
def test_on_loopback_no_key_is_needed_and_no_database_looked_at(
    settings: Settings, host: str
) -> None:
    check_address(host, insecure=False, settings=settings)
    assert not settings.data_dir.exists()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.168.1.1", "my-laptop", "localhost.x"])
def test_without_a_key_any_other_address_needs_consent(settings: Settings, host: str) -> None:
    with pytest.raises(Misconfigured, match="nobody has a key yet") as refused:
        check_address(host, insecure=False, settings=settings)
    assert refused.value.param == "host"
    assert "`hayserve keys create NAME --scope run`" in refused.value.hint
    assert "--insecure" in refused.value.hint
    check_address(host, insecure=True, settings=settings)


def test_with_a_key_it_may_listen_anywhere_until_that_is_revoked(settings: Settings) -> None:
    make_key(settings)
    check_address("0.0.0.0", insecure=False, settings=settings)
    database = Database(database_url(settings))
    database.open()
    Keys(database).revoke("web")
    database.close()
    with pytest.raises(Misconfigured, match="nobody has a key yet"):
        check_address("0.0.0.0", insecure=False, settings=settings)


def test_a_key_that_has_expired_does_not_count(settings: Settings) -> None:
    database = Database(database_url(settings))
    database.open()
    Keys(database, clock=lambda: 1000.0).create("old", scopes=["run"], expires_in=60)
    database.close()
    with pytest.raises(Misconfigured, match="nobody has a key yet"):
        check_address("0.0.0.0", insecure=False, settings=settings)


def test_a_database_in_memory_has_no_key_before_the_start(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, database_url="sqlite://")
    with pytest.raises(Misconfigured, match="nobody has a key yet"):
        check_address("0.0.0.0", insecure=False, settings=settings)


def test_a_database_that_cannot_be_opened_is_said(settings: Settings) -> None:
    settings.data_dir.write_text("a file")
    with pytest.raises(Misconfigured, match="cannot be opened"):
        check_address("0.0.0.0", insecure=False, settings=settings)


def test_where_tokens_let_callers_in_no_key_is_needed(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, oidc_issuer="https://login.example", oidc_audience="agents")
    check_address("0.0.0.0", insecure=False, settings=settings)
