"""What was deployed survives a restart, and a crash at any moment."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hayserve.deployments.bundle import Bundle
from hayserve.deployments.store import Entry, Store
from hayserve.errors import InvalidRequest

FIRST = Bundle({"pipeline_wrapper.py": b"x = 1\r\n", "data/logo.png": b"\x89PNG\xff"})
SECOND = Bundle({"pipeline_wrapper.py": b"x = 2\n"})
NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


def entry_of(bundle: Bundle, *, name: str = "weather") -> Entry:
    return Entry(
        name=name,
        kind="wrapper",
        digest=bundle.digest,
        deployed_at=NOON,
        aliases=("gpt-4o",),
        description="Knows the weather",
    )


def files_in(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "state")


def test_a_bundle_is_written_byte_for_byte(store: Store, tmp_path: Path) -> None:
    folder = store.save_bundle("weather", FIRST)
    assert folder == tmp_path / "state" / "bundles" / "weather" / FIRST.digest[:12]
    assert files_in(folder) == dict(FIRST.files)
    assert store.folder_of("weather", FIRST.digest) == folder


def test_saving_a_bundle_again_changes_nothing_but_what_was_edited(store: Store) -> None:
    folder = store.save_bundle("weather", FIRST)
    (folder / "pipeline_wrapper.py").write_text("edited")
    (folder / "data" / "logo.png").unlink()
    (folder / "data").rmdir()
    (folder / "data.db").write_text("the wrapper's")
    assert store.save_bundle("weather", FIRST) == folder
    assert files_in(folder) == {**FIRST.files, "data.db": b"the wrapper's"}


def test_what_was_recorded_is_there_after_a_restart(store: Store, tmp_path: Path) -> None:
    for name in ("b", "a"):
        store.save_bundle(name, FIRST)
        store.record(entry_of(FIRST, name=name))
    store.save_bundle("a", SECOND)
    store.record(entry_of(SECOND, name="a"))
    stored = Store(tmp_path / "state").entries()
    assert stored.entries == (entry_of(SECOND, name="a"), entry_of(FIRST, name="b"))
    assert stored.broken == ()


def test_an_empty_store_has_no_entries(store: Store, tmp_path: Path) -> None:
    assert store.entries().entries == ()
    assert not (tmp_path / "state").exists()


def test_what_was_forgotten_is_gone_after_a_restart(store: Store) -> None:
    store.save_bundle("weather", FIRST)
    store.record(entry_of(FIRST))
    store.forget("weather")
    store.forget("weather")
    assert store.entries().entries == ()
    assert store.folder_of("weather", FIRST.digest).is_dir()


def test_a_deployment_whose_files_were_not_saved_is_not_recorded(store: Store) -> None:
    with pytest.raises(FileNotFoundError, match="of 'weather' is not saved"):
        store.record(entry_of(FIRST))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"digest": "x"}, "digest: String should match pattern '^[0-9a-f]{64}$'"),
        ({"name": "other"}, "It says that its name is 'other'."),
        ({"name": "../x"}, "It says that its name is '../x'."),
        ({"digest": "a" * 64}, "Its files are not there."),
        ({"deployed_at": "2026-01-02T12:00:00"}, "deployed_at: Input should have timezone info"),
    ],
)
def test_broken_entries_are_told_beside_the_good_ones(
    tmp_path: Path, change: dict[str, str], reason: str
) -> None:
    store = Store(tmp_path / "state")
    for name in ("good", "bad"):
        store.save_bundle(name, FIRST)
        store.record(entry_of(FIRST, name=name))
    file = tmp_path / "state" / "deployments" / "bad.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    stored = store.entries()
    assert stored.entries == (entry_of(FIRST, name="good"),)
    assert [(broken.path, broken.reason) for broken in stored.broken] == [(file, reason)]


def test_a_file_that_is_no_entry_at_all_is_told(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "state" / "deployments"
    folder.mkdir(parents=True)
    (folder / "a.json").write_text("{")
    (folder / "b.json").mkdir()
    (folder / "bad name.json").write_text(
        json.dumps(
            {
                "name": "bad name",
                "kind": "yaml",
                "digest": FIRST.digest,
                "deployed_at": "2026-01-02T12:00:00Z",
            }
        )
    )
    reasons = [broken.reason for broken in store.entries().broken]
    assert reasons[0].startswith("Invalid JSON: EOF while parsing an object")
    assert reasons[1].startswith("[Errno 21] Is a directory")
    assert reasons[2].startswith("The name 'bad name' contains ' '.")


def test_bundles_that_are_not_kept_are_taken_away(store: Store) -> None:
    old, new = store.save_bundle("weather", FIRST), store.save_bundle("weather", SECOND)
    other = store.save_bundle("other", FIRST)
    assert store.collect("weather", SECOND.digest) == []
    assert [old.exists(), new.exists(), other.exists()] == [False, True, True]
    assert sorted(path.name for path in new.parent.iterdir()) == [new.name, f"{new.name}.json"]


def test_nothing_is_left_of_a_name_when_nothing_is_kept(store: Store) -> None:
    folder = store.save_bundle("weather", FIRST)
    assert store.collect("weather") == []
    assert store.collect("weather") == []
    assert not folder.parent.exists()


def test_what_a_wrapper_keeps_beside_its_code_is_not_taken_away(store: Store) -> None:
    folder = store.save_bundle("weather", FIRST)
    (folder / "data" / "cache").mkdir()
    (folder / "data" / "users.db").write_text("precious")
    (folder / "pipeline_wrapper.py").write_text("edited by hand")
    assert store.collect("weather") == [folder]
    assert files_in(folder) == {
        "data/users.db": b"precious",
        "pipeline_wrapper.py": b"edited by hand",
    }


def test_nothing_outside_of_the_store_is_taken_away(store: Store, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "logo.png").write_bytes(FIRST.files["data/logo.png"])
    folder = store.save_bundle("weather", FIRST)
    (folder / "data" / "logo.png").unlink()
    (folder / "data").rmdir()
    (folder / "data").symlink_to(outside)
    assert store.collect("weather") == [folder]
    (folder.parent.parent / "linked").symlink_to(outside)
    assert store.collect("linked") == []
    assert (outside / "logo.png").exists()


def test_a_list_of_files_that_cannot_be_read_takes_nothing_away(store: Store) -> None:
    folder = store.save_bundle("weather", FIRST)
    folder.with_suffix(".json").write_text("[")
    assert store.collect("weather") == [folder]
    assert files_in(folder) == dict(FIRST.files)


def test_drafts_of_a_killed_process_are_swept_but_not_those_of_a_live_one(store: Store) -> None:
    place = store.save_bundle("weather", FIRST).parent
    (place / ".old" / "deep").mkdir(parents=True)
    (place / ".old.tmp").write_text("")
    (place / ".new.tmp").write_text("")
    for old in (place / ".old", place / ".old.tmp"):
        os.utime(old, (0, 0))
    store.collect("weather", FIRST.digest)
    assert [path.name for path in place.glob(".*")] == [".new.tmp"]


@pytest.mark.parametrize("name", ["", "..", "a/b", ".git"])
def test_names_that_lead_elsewhere_are_refused(store: Store, tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidRequest):
        store.save_bundle(name, FIRST)
    with pytest.raises(InvalidRequest):
        store.forget(name)
    with pytest.raises(InvalidRequest):
        store.collect(name)
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize("digest", ["", "abc", "../../../../etc/passwd", "G" * 64])
def test_digests_that_lead_elsewhere_are_refused(store: Store, digest: str) -> None:
    with pytest.raises(InvalidRequest, match="is not the digest of a bundle"):
        store.folder_of("weather", digest)


def test_a_bundle_that_cannot_be_written_leaves_nothing(store: Store, tmp_path: Path) -> None:
    place = tmp_path / "state" / "bundles" / "weather"
    place.mkdir(parents=True)
    (place / FIRST.digest[:12]).write_text("in the way")
    with pytest.raises(OSError, match=FIRST.digest[:12]):
        store.save_bundle("weather", FIRST)
    assert not list(place.glob(".*"))


def test_a_file_that_cannot_be_replaced_leaves_no_draft(store: Store, tmp_path: Path) -> None:
    store.save_bundle("weather", FIRST)
    (tmp_path / "state" / "deployments" / "weather.json").mkdir(parents=True)
    with pytest.raises(IsADirectoryError):
        store.record(entry_of(FIRST))
    assert not list((tmp_path / "state" / "deployments").glob(".*"))


def test_another_process_may_have_saved_the_bundle_meanwhile(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = Path.rename

    def late(draft: Path, folder: Path) -> Path:
        Store(tmp_path / "state").save_bundle("weather", FIRST)
        return rename(draft, folder)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", once(late, rename))
        folder = store.save_bundle("weather", FIRST)
    assert files_in(folder) == dict(FIRST.files)
    assert [path for path in folder.parent.iterdir() if path.name.startswith(".")] == []


def once(first: Callable[..., Path], then: Callable[..., Path]) -> Callable[..., Path]:
    """A function that is `first` when it is called, and `then` from there on."""
    calls = iter([first])

    def call(*args: Path) -> Path:
        return next(calls, then)(*args)

    return call


def test_two_processes_may_save_the_same_bundle_at_once(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path;"
        "from hayserve.deployments.bundle import Bundle;"
        "from hayserve.deployments.store import Store;"
        "files = {f'f{n}': b'x' * n for n in range(30)};"
        "print(Store(Path(sys.argv[1])).save_bundle('a', Bundle(files)))"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE)
        for _ in range(3)
    ]
    folders = {process.communicate()[0] for process in running}
    assert [process.returncode for process in running] == [0, 0, 0]
    assert len(folders) == 1
    folder = Path(folders.pop().decode().strip())
    assert {name: len(data) for name, data in files_in(folder).items()} == {
        f"f{number}": number for number in range(30)
    }
    assert not list(folder.parent.glob(".*"))


KILLED = """
import os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from hayserve.deployments.bundle import Bundle
from hayserve.deployments.store import Entry, Store

left = int(sys.argv[2])

def count_down(event, _):
    global left
    if event in {"open", "os.rename", "os.mkdir", "os.remove", "tempfile.mkstemp"}:
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

store = Store(Path(sys.argv[1]))
new = Bundle({"pipeline_wrapper.py": b"x = 2\\n", "a/b.txt": b"b"})
sys.addaudithook(count_down)
store.save_bundle("weather", new)
store.record(Entry("weather", "wrapper", new.digest, datetime(2026, 1, 2, tzinfo=UTC)))
left = 10**9
"""


@pytest.mark.parametrize("steps", range(0, 24, 2))
def test_a_kill_at_any_moment_leaves_the_old_deployment_or_the_new(
    store: Store, tmp_path: Path, steps: int
) -> None:
    store.save_bundle("weather", FIRST)
    store.record(entry_of(FIRST))
    new = Bundle({"pipeline_wrapper.py": b"x = 2\n", "a/b.txt": b"b"})
    state = tmp_path / "state"
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(state), str(steps)], check=False
    ).returncode
    assert killed in {0, -signal.SIGKILL}
    stored = store.entries()
    assert stored.broken == ()
    (entry,) = stored.entries
    assert entry.digest in {FIRST.digest, new.digest}
    expected = FIRST if entry.digest == FIRST.digest else new
    assert files_in(store.folder_of("weather", entry.digest)) == dict(expected.files)
    again = store.save_bundle("weather", new)
    assert files_in(again) == dict(new.files)
