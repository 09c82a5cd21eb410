"""What of a server's files and database others can read."""

import os
from collections.abc import Iterable
from pathlib import Path

import pytest

from hayserve.cli.file_checkup import (
    of_data_folder,
    of_database,
    of_environment_file,
    of_key_file,
)
from hayserve.cli.finding import Finding
from hayserve.storage.address import address

pytestmark = pytest.mark.skipif(os.name != "posix", reason="there are no such modes")


def levels(found: Iterable[Finding]) -> list[str]:
    return [finding.level for finding in found]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "it's a file"
    path.touch(0o600)
    return path


def test_a_local_key_that_others_can_read_is_a_danger(file: Path) -> None:
    file.chmod(0o640)

    (found,) = of_key_file(file, has_server=True)

    assert found.level == "danger"
    assert found.fix.startswith(f"chmod 600 '{file.parent}/it'\"'\"'s a file'")


def test_a_local_key_for_its_user_alone_is_as_it_should_be(file: Path) -> None:
    assert levels(of_key_file(file, has_server=True)) == ["ok"]


def test_a_local_key_that_a_dead_server_left_can_go(file: Path) -> None:
    assert levels(of_key_file(file, has_server=False)) == ["ok", "note"]


def test_of_what_is_not_there_nothing_is_said(tmp_path: Path) -> None:
    absent = tmp_path / "absent"

    assert levels(of_key_file(absent, has_server=False)) == []
    assert levels(of_data_folder(absent)) == []
    assert levels(of_environment_file(absent, has_secrets=True)) == []
    assert levels(of_database(address(f"sqlite:///{absent}"))) == []


@pytest.mark.parametrize(
    ("mode", "level"), [(0o700, "ok"), (0o755, "note"), (0o770, "danger"), (0o702, "danger")]
)
def test_whoever_writes_to_the_data_folder_runs_code(tmp_path: Path, mode: int, level: str) -> None:
    tmp_path.chmod(mode)

    assert levels(of_data_folder(tmp_path)) == [level]


@pytest.mark.parametrize(
    ("mode", "level"), [(0o600, "ok"), (0o640, "warning"), (0o604, "warning"), (0o602, "danger")]
)
def test_whoever_writes_to_the_database_makes_keys(file: Path, mode: int, level: str) -> None:
    file.chmod(mode)

    assert levels(of_database(address(f"sqlite:///{file}"))) == [level]


def test_secrets_among_the_settings_are_for_their_user_alone(file: Path) -> None:
    assert levels(of_environment_file(file, has_secrets=True)) == []

    file.chmod(0o644)

    assert levels(of_environment_file(file, has_secrets=True)) == ["warning"]
    assert levels(of_environment_file(file, has_secrets=False)) == []


def test_nobody_reads_a_database_in_memory() -> None:
    assert levels(of_database(address("sqlite://"))) == []


@pytest.mark.parametrize(
    ("rest", "level"),
    [
        ("localhost/db", "ok"),
        ("127.0.0.1:5432/db", "ok"),
        ("[::1]/db", "ok"),
        ("/db", "ok"),
        ("/db?host=/var/run/postgresql", "ok"),
        ("/db?host=localhost:5432,127.0.0.1", "ok"),
        ("/db?host=localhost&host=db.example", "warning"),
        ("/db?host=db.example", "warning"),
        ("db.example/db", "warning"),
        ("db.example/db?sslmode=prefer", "warning"),
        ("db.example/db?sslmode=require", "note"),
        ("db.example/db?sslmode=verify-full", "ok"),
    ],
)
def test_the_way_to_a_database_elsewhere_is_encrypted(rest: str, level: str) -> None:
    (found,) = of_database(address(f"postgresql://user:pass@{rest}"))

    assert found.level == level
    assert "pass" not in found.what
