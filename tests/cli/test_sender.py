"""Who asks, from where."""

import socket
from pathlib import Path

import pytest

from hayserve.cli.sender import sender


def test_the_user_the_machine_and_the_path_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOGNAME", "ann")
    assert sender(Path("agent")) == f"ann@{socket.gethostname()}:{tmp_path}/agent"


def test_what_cannot_stand_in_a_header_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "rené\n")
    assert sender(Path("/日本 ")) == f"rené?@{socket.gethostname()}:/??"


def test_a_user_without_a_name_is_no_obstacle(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 1001")

    monkeypatch.setattr("getpass.getuser", nobody)
    assert sender(Path("/x")) == f"unknown@{socket.gethostname()}:/x"
