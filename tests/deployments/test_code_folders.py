"""Code lies on disk whole or not at all, and stays there while any process runs it."""

import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hayserve.deployments.bundle import Bundle
from hayserve.deployments.code_folders import CodeFolders
from hayserve.errors import InvalidRequest

FIRST = Bundle({"pipeline_wrapper.py": b"x = 1\r\n", "data/logo.png": b"\x89PNG\xff"})
SECOND = Bundle({"pipeline_wrapper.py": b"x = 2\n"})


def files_in(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def folders(tmp_path: Path) -> CodeFolders:
    return CodeFolders(tmp_path / "code")


def test_a_bundle_is_written_byte_for_byte(folders: CodeFolders, tmp_path: Path) -> None:
    folder = folders.place("weather", FIRST)
    assert folder == tmp_path / "code" / "weather" / FIRST.digest[:12]
    assert files_in(folder) == dict(FIRST.files)
    assert folders.folder_of("weather", FIRST.digest) == folder


def test_placing_a_bundle_again_changes_nothing_but_what_was_edited(folders: CodeFolders) -> None:
    folder = folders.place("weather", FIRST)
    (folder / "pipeline_wrapper.py").write_text("edited")
    (folder / "data" / "logo.png").unlink()
    (folder / "data").rmdir()
    (folder / "data.db").write_text("the wrapper's")
    assert folders.place("weather", FIRST) == folder
    assert files_in(folder) == {**FIRST.files, "data.db": b"the wrapper's"}


def test_putting_right_does_not_write_where_links_lead(
    folders: CodeFolders, tmp_path: Path
) -> None:
    folder = folders.place("weather", FIRST)
    (tmp_path / "logo.png").write_text("the user's")
    (folder / "data" / "logo.png").unlink()
    (folder / "data").rmdir()
    (folder / "data").symlink_to(tmp_path)
    (folder / "pipeline_wrapper.py").unlink()
    (folder / "pipeline_wrapper.py").symlink_to(tmp_path / "logo.png")
    folders.place("weather", FIRST)
    assert (tmp_path / "logo.png").read_text() == "the user's"
    assert files_in(folder) == dict(FIRST.files)
    assert not (folder / "data").is_symlink()


@pytest.mark.parametrize("name", ["weather", "gpt-4o.1", "天気", "é"])
def test_a_plain_name_is_that_of_its_folder(folders: CodeFolders, name: str) -> None:
    assert folders.folder_of(name, FIRST.digest).parent.name == name


def test_names_that_are_one_on_some_disks_have_folders_of_their_own(folders: CodeFolders) -> None:
    names = ["weather", "Weather", "WEATHER", "weather.", "é", "e\u0301", "É", "x" * 99 + "X"]
    places = {folders.folder_of(name, FIRST.digest).parent.name.casefold() for name in names}
    assert len(places) == len(names)
    assert folders.folder_of("Weather", FIRST.digest).parent.name == "Weather~a0bba638"
    for name in names:
        folders.place(name, FIRST)
        assert folders.take_away(name, FIRST.digest)


def test_folders_that_are_not_kept_are_taken_away(folders: CodeFolders, tmp_path: Path) -> None:
    old, new = folders.place("weather", FIRST), folders.place("weather", SECOND)
    other, gone = folders.place("Other", FIRST), folders.place("gone", FIRST)
    assert folders.collect([("weather", SECOND.digest), ("Other", FIRST.digest)]) == []
    assert [path.exists() for path in (old, new, other, gone.parent)] == [False, True, True, False]
    assert sorted(path.name for path in new.parent.iterdir()) == [
        new.name,
        f"{new.name}.json",
        f"{new.name}.lock",
    ]


def test_nothing_is_left_when_nothing_is_kept(folders: CodeFolders, tmp_path: Path) -> None:
    folders.place("weather", FIRST)
    folders.mark("never-placed", FIRST.digest).release()
    assert folders.collect([]) == []
    assert folders.collect([]) == []
    assert list((tmp_path / "code").iterdir()) == []


def test_one_folder_may_be_taken_away(folders: CodeFolders) -> None:
    old, new = folders.place("weather", FIRST), folders.place("weather", SECOND)
    assert folders.take_away("weather", FIRST.digest)
    assert folders.take_away("weather", FIRST.digest)
    assert [old.exists(), new.exists()] == [False, True]
    assert folders.take_away("never-placed", FIRST.digest)


def test_what_a_wrapper_keeps_beside_its_code_is_not_taken_away(folders: CodeFolders) -> None:
    folder = folders.place("weather", FIRST)
    (folder / "data" / "cache").mkdir()
    (folder / "data" / "users.db").write_text("precious")
    (folder / "pipeline_wrapper.py").write_text("edited by hand")
    assert folders.collect([]) == [folder]
    assert not folders.take_away("weather", FIRST.digest)
    assert files_in(folder) == {
        "data/users.db": b"precious",
        "pipeline_wrapper.py": b"edited by hand",
    }


def test_nothing_outside_of_the_folders_is_taken_away(folders: CodeFolders, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "logo.png").write_bytes(FIRST.files["data/logo.png"])
    folder = folders.place("weather", FIRST)
    (folder / "data" / "logo.png").unlink()
    (folder / "data").rmdir()
    (folder / "data").symlink_to(outside)
    assert folders.collect([]) == [folder]
    (tmp_path / "code" / "linked").symlink_to(folder.parent)
    assert folders.collect([("weather", FIRST.digest)]) == []
    assert not folders.take_away("linked", FIRST.digest)
    assert (outside / "logo.png").exists()


def test_a_list_of_files_that_cannot_be_read_takes_nothing_away(folders: CodeFolders) -> None:
    folder = folders.place("weather", FIRST)
    folder.with_suffix(".json").write_text("[")
    assert folders.collect([]) == [folder]
    folder.with_suffix(".json").unlink()
    assert not folders.take_away("weather", FIRST.digest)
    assert files_in(folder) == dict(FIRST.files)


def test_drafts_of_a_killed_process_are_swept_but_not_those_of_a_live_one(
    folders: CodeFolders, tmp_path: Path
) -> None:
    place = folders.place("weather", FIRST).parent
    (place / ".old" / "deep").mkdir(parents=True)
    (place / ".old.tmp").write_text("")
    (place / ".new.tmp").write_text("")
    (place / ".gone.tmp").symlink_to("nothing")
    for old in (place / ".old", place / ".old.tmp"):
        os.utime(old, (0, 0))
    folders.collect([("weather", FIRST.digest)])
    assert sorted(path.name for path in place.glob(".*")) == [".gone.tmp", ".new.tmp"]


@pytest.mark.parametrize("name", ["", "..", "a/b", ".git"])
def test_names_that_lead_elsewhere_are_refused(
    folders: CodeFolders, tmp_path: Path, name: str
) -> None:
    with pytest.raises(InvalidRequest):
        folders.place(name, FIRST)
    with pytest.raises(InvalidRequest):
        folders.take_away(name, FIRST.digest)
    with pytest.raises(InvalidRequest):
        folders.collect([(name, FIRST.digest)])
    assert not (tmp_path / "code").exists()


@pytest.mark.parametrize("digest", ["", "abc", "../../../../etc/passwd", "G" * 64])
def test_digests_that_lead_elsewhere_are_refused(folders: CodeFolders, digest: str) -> None:
    with pytest.raises(InvalidRequest, match="is not the digest of a bundle"):
        folders.folder_of("weather", digest)


def test_a_bundle_that_cannot_be_written_leaves_nothing(
    folders: CodeFolders, tmp_path: Path
) -> None:
    place = tmp_path / "code" / "weather"
    place.mkdir(parents=True)
    (place / FIRST.digest[:12]).write_text("in the way")
    with pytest.raises(OSError, match=FIRST.digest[:12]):
        folders.place("weather", FIRST)
    assert not list(place.glob(".*"))


def test_a_file_that_cannot_be_replaced_leaves_no_draft(folders: CodeFolders) -> None:
    folder = folders.place("weather", SECOND)
    (folder / "pipeline_wrapper.py").unlink()
    (folder / "pipeline_wrapper.py").mkdir()
    with pytest.raises(IsADirectoryError):
        folders.place("weather", SECOND)
    assert not list(folder.parent.glob(".*"))


def test_another_process_may_have_placed_the_bundle_meanwhile(
    folders: CodeFolders, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = Path.rename

    def late(draft: Path, folder: Path) -> Path:
        folders.place("weather", FIRST)
        return rename(draft, folder)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", once(late, rename))
        folder = folders.place("weather", FIRST)
    assert files_in(folder) == dict(FIRST.files)
    assert [path for path in folder.parent.iterdir() if path.name.startswith(".")] == []


def once(first: Callable[..., Path], then: Callable[..., Path]) -> Callable[..., Path]:
    """A function that is `first` when it is called, and `then` from there on."""
    calls = iter([first])

    def call(*args: Path) -> Path:
        return next(calls, then)(*args)

    return call


def started(code: str, *args: object) -> "subprocess.Popen[str]":
    begin = (
        "import os, signal, sys; from pathlib import Path;"
        "from hayserve.deployments.bundle import Bundle;"
        "from hayserve.deployments.code_folders import CodeFolders;"
        "folders = CodeFolders(Path(sys.argv[1]))\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", begin + code, *map(str, args)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_several_processes_may_place_the_same_bundle_at_once(tmp_path: Path) -> None:
    code = (
        "files = {f'f{n}': b'x' * n for n in range(30)}\n"
        "print(flush=True); input()\n"
        "print(folders.place('a', Bundle(files)))\n"
    )
    running = [started(code, tmp_path) for _ in range(4)]
    for process in running:
        assert process.stdout
        process.stdout.readline()
    for process in running:
        assert process.stdin
        process.stdin.write("\n")
        process.stdin.flush()
    placed = {process.communicate()[0] for process in running}
    assert [process.returncode for process in running] == [0, 0, 0, 0]
    assert len(placed) == 1
    folder = Path(placed.pop().strip())
    assert {name: len(data) for name, data in files_in(folder).items()} == {
        f"f{number}": number for number in range(30)
    }
    assert not list(folder.parent.glob(".*"))


@contextmanager
def running_code_from(root: Path, *, name: str, digest: str) -> "Generator[subprocess.Popen[str]]":
    code = (
        "mark = folders.mark(sys.argv[2], sys.argv[3])\n"
        "import subprocess; child = subprocess.Popen(['sleep', '60'], stdin=subprocess.DEVNULL)\n"
        "print(child.pid, flush=True); input()\n"
    )
    process = started(code, root, name, digest)
    assert process.stdout
    child = int(process.stdout.readline())
    try:
        yield process
    finally:
        os.kill(child, signal.SIGKILL)
        process.kill()
        process.communicate()


def test_a_folder_stays_while_a_process_runs_code_from_it(
    folders: CodeFolders, tmp_path: Path
) -> None:
    folder = folders.place("weather", FIRST)
    with running_code_from(tmp_path / "code", name="weather", digest=FIRST.digest) as process:
        assert not folders.take_away("weather", FIRST.digest)
        assert folders.collect([]) == []
        assert files_in(folder) == dict(FIRST.files)
        process.kill()
        process.wait()
        assert folders.take_away("weather", FIRST.digest)
        assert not folder.parent.exists()


def test_a_mark_of_this_process_counts_as_well(folders: CodeFolders) -> None:
    with folders.mark("weather", FIRST.digest):
        folder = folders.place("weather", FIRST)
        folders.collect([])
        assert not folders.take_away("weather", FIRST.digest)
        assert files_in(folder) == dict(FIRST.files)
    assert folders.take_away("weather", FIRST.digest)


def test_where_nothing_that_is_open_can_be_deleted_the_lock_stays(
    folders: CodeFolders, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = folders.place("weather", FIRST)
    unlink = Path.unlink

    def as_windows_does(path: Path, *, missing_ok: bool = False) -> None:
        if path.suffix == ".lock":
            raise PermissionError(path)
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", as_windows_does)
    assert folders.take_away("weather", FIRST.digest)
    assert [path.suffix for path in folder.parent.iterdir()] == [".lock"]


KILLED = """
left = int(sys.argv[2])

def count_down(event, _):
    global left
    if event in {"open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "tempfile.mkstemp"}:
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

new = Bundle({"pipeline_wrapper.py": b"x = 2\\n", "a/b.txt": b"b"})
sys.addaudithook(count_down)
"""
NEW = Bundle({"pipeline_wrapper.py": b"x = 2\n", "a/b.txt": b"b"})


@pytest.mark.parametrize("steps", range(0, 20, 2))
def test_a_kill_at_any_moment_leaves_a_whole_bundle_or_none(
    folders: CodeFolders, tmp_path: Path, steps: int
) -> None:
    killed = started(KILLED + "folders.place('a', new)\nos._exit(0)", tmp_path / "code", steps)
    killed.communicate()
    assert killed.returncode in {0, -signal.SIGKILL}
    folder = folders.folder_of("a", NEW.digest)
    assert not folder.exists() or files_in(folder) == dict(NEW.files)
    assert files_in(folders.place("a", NEW)) == dict(NEW.files)


@pytest.mark.parametrize("steps", range(0, 12, 2))
def test_what_was_half_taken_away_is_taken_away_the_next_time(
    folders: CodeFolders, tmp_path: Path, steps: int
) -> None:
    folders.place("a", NEW)
    killed = started(KILLED + "folders.collect([])\nos._exit(0)", tmp_path / "code", steps)
    killed.communicate()
    assert killed.returncode in {0, -signal.SIGKILL}
    assert folders.collect([]) == []
    assert list((tmp_path / "code").iterdir()) == []


def test_who_marks_and_places_has_its_files_whatever_others_take_away(
    folders: CodeFolders, tmp_path: Path
) -> None:
    taking = started("while True: folders.collect([])", tmp_path / "code")
    try:
        for number in random.Random(1).sample(range(100), 100):
            bundle = Bundle({"x": str(number % 3).encode()})
            with folders.mark("a", bundle.digest):
                assert files_in(folders.place("a", bundle)) == dict(bundle.files)
    finally:
        taking.kill()
        taking.communicate()
    assert taking.returncode == -signal.SIGKILL
