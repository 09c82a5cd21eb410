"""Of a wrapper's folder, what is needed is sent and the rest is spoken of."""

import os
from pathlib import Path

import pytest

from hayserve.cli.folder import read
from hayserve.errors import InvalidRequest, TooLarge

IGNORED = ["*.pyc", "__pycache__", "*.so", "*.egg-info"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "pipeline_wrapper.py").write_text("pass")
    return tmp_path


def put(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")


def test_a_folder_without_anything_else_leaves_nothing_out(folder: Path) -> None:
    found = read(folder, ignore=IGNORED)
    assert (found.files, found.left_out) == ({"pipeline_wrapper.py": "pass"}, ())


def test_a_hidden_folder_is_named_once(folder: Path) -> None:
    put(folder, ".git/config", ".git/refs/head", ".env", "sub/.cache/x")
    assert read(folder, ignore=IGNORED).left_out == (
        "Left out: .env, .git/, sub/.cache/ (files that begin with a dot are not sent)",
    )


def test_what_python_compiles_is_not_spoken_of(folder: Path) -> None:
    put(folder, "__pycache__/a.cpython-311.pyc", "b.pyc", "x.egg-info/PKG-INFO")
    assert read(folder, ignore=IGNORED).left_out == (
        "Left out: x.egg-info/ (the setting files_to_ignore_patterns names them)",
    )


def test_a_long_list_is_cut(folder: Path) -> None:
    put(folder, *(f"{letter}.so" for letter in "abcdefghijkl"))
    (told,) = read(folder, ignore=IGNORED).left_out
    assert "i.so, j.so and 2 more (" in told


def test_contents_are_there_byte_for_byte_and_as_what_json_can_hold(folder: Path) -> None:
    (folder / "a.txt").write_bytes(b"caf\xc3\xa9\r\n")
    (folder / "logo.png").write_bytes(b"\x89PNG")
    found = read(folder, ignore=IGNORED)
    assert found.contents == {
        "a.txt": b"caf\xc3\xa9\r\n",
        "logo.png": b"\x89PNG",
        "pipeline_wrapper.py": b"pass",
    }
    assert found.files == {
        "a.txt": "café\r\n",
        "logo.png": {"base64": "iVBORw=="},
        "pipeline_wrapper.py": "pass",
    }


def test_links_are_followed_inside_of_the_folder_only(tmp_path: Path) -> None:
    folder, outside = tmp_path / "in", tmp_path / "in-not"
    put(folder, "real/a.py")
    put(outside, "secret")
    (folder / "alias").symlink_to("real")
    (folder / "b.py").symlink_to("real/a.py")
    (folder / "out.py").symlink_to(outside / "secret")
    (folder / "out").symlink_to(outside)
    (folder / "gone").symlink_to("nothing")
    (folder / "real" / "up").symlink_to(folder)
    os.mkfifo(folder / "pipe")
    (tmp_path / "link").symlink_to(folder)
    for way in (folder, tmp_path / "link"):
        found = read(way, ignore=IGNORED)
        assert set(found.contents) == {"alias/a.py", "b.py", "real/a.py"}
        assert found.left_out == (
            "Left out: out/, out.py (links that lead out of the folder are not followed)",
        )


def test_a_folder_that_is_too_large_is_told_before_it_is_read(folder: Path) -> None:
    for name, size in {"a": 1, "data/model.bin": 5_500_000, "b.bin": 300_000}.items():
        put(folder, name)
        os.truncate(folder / name, size)
    (folder / "data" / "model.bin").chmod(0)  # nobody reads it
    with pytest.raises(TooLarge) as raised:
        read(folder, ignore=IGNORED, most_bytes=5 * 1024 * 1024)
    assert raised.value.message == (
        f"The folder '{folder}' holds more than 5 MB. "
        "Most of what was found so far: 'data/model.bin' (5.2 MB), 'b.bin' (0.3 MB), 'a' (0 MB)."
    )
    assert raised.value.hint.startswith("Deploy the wrapper's own folder. ")
    assert len(read(folder, ignore=[*IGNORED, "data"], most_bytes=300_005).contents) == 3


def test_a_folder_of_too_many_files_is_told(folder: Path) -> None:
    put(folder, "a/1", "a/2", "b/c/3", "d")
    with pytest.raises(TooLarge) as raised:
        read(folder, ignore=IGNORED, most_files=3)
    assert raised.value.message == (
        f"The folder '{folder}' holds more than 3 files. "
        "Most of what was found so far: 'a/' (2 files), 'b/' (1 files)."
    )
    with pytest.raises(TooLarge, match=r"holds more than 0 files\. Deploy"):
        read(folder / "b" / "c", ignore=IGNORED, most_files=0)


def test_what_may_not_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="gone' cannot be read \\(No such file or directory"):
        read(tmp_path / "gone", ignore=IGNORED)
