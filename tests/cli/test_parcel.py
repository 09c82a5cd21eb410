"""What is sent of what lies at a path."""

from pathlib import Path

import pytest

from cli.outcome import Typed
from hayserve.cli.parcel import archive_of, yaml_of
from hayserve.errors import InvalidRequest


def test_a_text_is_sent_byte_for_byte(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_bytes(b"a: 1\r\n")
    assert yaml_of(tmp_path / "a.yml") == "a: 1\r\n"


def test_what_is_no_text_is_refused(typed: Typed, tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_bytes(b"\xff\xfe")
    shown = typed("deploy", "a.yml")
    assert shown.code == 1
    assert shown.err.startswith("✘ Error: 'a.yml' is not a text in UTF-8.\n")


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    gone = r"gone.zip' cannot be read \(No such file"
    with pytest.raises(InvalidRequest, match=gone), archive_of(tmp_path / "gone.zip"):
        pass
