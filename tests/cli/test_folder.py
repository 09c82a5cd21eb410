"""Of a wrapper's folder, what is needed is sent and the rest is spoken of."""

from pathlib import Path

import pytest

from hayserve.cli.folder import read

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
