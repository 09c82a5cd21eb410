import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from hayserve.errors import Misconfigured
from hayserve.server.folder_lock import locked, own_folder
from server.serving import settings_in

HOLDS = """
import sys
from pathlib import Path
from hayserve.server.folder_lock import locked
with locked(Path(sys.argv[1]), port=1416):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_server_is_told_who_has_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "data"
    with locked(folder, port=1416):
        said = re.escape(f"process {os.getpid()}, port 1416) keeps its deployments in '{folder}'.")
        with (
            pytest.raises(Misconfigured, match=said) as refused,
            locked(folder, port=1500),
        ):
            pass
    assert f"HAYSERVE_DATA_DIR={folder}-1500" in refused.value.hint
    with locked(folder, port=1500):
        assert "port 1500" in (folder / "lock").read_text()


def test_the_lock_ends_with_the_process_however_it_dies(tmp_path: Path) -> None:
    other = subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(Misconfigured, match=f"process {other.pid}"), locked(tmp_path, port=1):
            pass
        other.kill()
        other.wait(timeout=10)
    with locked(tmp_path, port=1):
        pass


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(Misconfigured, match="Nothing can be written") as refused,
        locked(tmp_path / "file" / "data", port=1),
    ):
        pass
    assert "HAYSERVE_DATA_DIR" in refused.value.hint


def test_a_system_without_such_locks_goes_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "fcntl", None)
    with locked(tmp_path, port=1), locked(tmp_path, port=2):
        pass


def test_servers_of_one_database_may_share_a_folder(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, database_url="postgresql://localhost/hayserve")
    with own_folder(settings), own_folder(settings):
        assert not settings.data_dir.exists()
    alone = settings_in(tmp_path)
    with own_folder(alone), pytest.raises(Misconfigured, match="Another server"):
        own_folder(alone).__enter__()
