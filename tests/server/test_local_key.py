import stat
from pathlib import Path

import pytest

from hayserve.errors import Misconfigured
from hayserve.server.local_key import LocalKey


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_only_the_user_can_read_the_key(tmp_path: Path) -> None:
    key, file = LocalKey(), tmp_path / "new" / "folder" / "local.key"
    key.write(file)
    assert file.read_text() == key.value
    assert (mode_of(file), mode_of(file.parent)) == (0o600, 0o700)


def test_a_file_that_others_could_read_is_replaced(tmp_path: Path) -> None:
    file = tmp_path / "local.key"
    file.write_text("old")
    file.chmod(0o644)
    reader = file.open()
    LocalKey().write(file)
    assert mode_of(file) == 0o600
    assert reader.read() == "old"
    reader.close()
    assert list(tmp_path.iterdir()) == [file]


def test_every_server_has_another_key() -> None:
    assert LocalKey().value != LocalKey().value


def test_a_file_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    for place in (tmp_path / "file" / "key", tmp_path / "folder"):
        with pytest.raises(Misconfigured, match="cannot be written") as refused:
            LocalKey().write(place)
        assert "HAYSERVE_KEY_FILE" in refused.value.hint
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


def test_a_key_is_taken_away_unless_it_is_anothers(tmp_path: Path) -> None:
    mine, other, file = LocalKey(), LocalKey(), tmp_path / "key"
    mine.write(file)
    other.write(file)
    mine.remove(file)
    assert file.read_text() == other.value
    other.remove(file)
    assert not file.exists()
    other.remove(file)


def test_a_worker_has_its_parents_key() -> None:
    key = LocalKey()
    assert LocalKey(key.value).value == key.value


def test_a_key_is_kept_for_a_while(tmp_path: Path) -> None:
    key, file = LocalKey(), tmp_path / "key"
    with key.kept_at(file):
        assert file.read_text() == key.value
    assert not file.exists()
