"""`sys.path` is as it was, whatever wrappers do to it."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hayserve.deployments.search_path import SearchPath, is_inside


@pytest.fixture(autouse=True)
def path() -> Iterator[list[str]]:
    before = list(sys.path)
    yield before
    sys.path[:] = before


@pytest.fixture
def folder(tmp_path: Path) -> str:
    (tmp_path / "mine").mkdir()
    return str(tmp_path / "mine")


def test_a_hidden_folder_is_taken_off_when_loading_ends(folder: str, path: list[str]) -> None:
    search = SearchPath()
    search.hide(folder)
    with search.kept():
        sys.path.insert(0, folder)
        sys.path.append(f"{folder}/src")
    assert sys.path == path


def test_a_folder_elsewhere_moves_to_the_end_and_stays(folder: str, path: list[str]) -> None:
    search = SearchPath()
    search.hide(folder)
    with search.kept():
        sys.path.insert(0, "/opt/shared")
        sys.path.insert(0, "/opt/shared")
    assert sys.path == [*path, "/opt/shared"]


def test_an_entry_that_was_removed_comes_back(folder: str, path: list[str]) -> None:
    with SearchPath().kept():
        sys.path.pop(0)
    assert sys.path == path


def test_loads_that_overlap_put_the_path_in_order_at_the_end(folder: str, path: list[str]) -> None:
    search = SearchPath()
    search.hide(folder)
    with search.kept():
        with search.kept():
            sys.path.insert(0, folder)
        assert sys.path[0] == folder
    assert sys.path == path


def test_what_the_operator_put_on_the_path_stays_visible(folder: str, path: list[str]) -> None:
    sys.path.append(folder)
    search = SearchPath()
    search.hide(folder)
    assert not search.hides(folder)
    search.show(folder)
    assert sys.path == [*path, folder]


def test_a_folder_that_is_loaded_twice_stays_hidden_until_both_are_gone(
    folder: str, path: list[str]
) -> None:
    search = SearchPath()
    search.hide(folder)
    sys.path.append(folder)
    search.hide(folder)
    search.show(folder)
    assert search.hides(folder)
    assert sys.path[-1] == folder
    search.show(folder)
    assert not search.hides(folder)
    assert sys.path == path


def test_a_folder_whose_name_has_a_dot_is_left_alone(folder: str) -> None:
    search = SearchPath()
    search.hide(folder)
    assert search.hides(f"{folder}/lib")
    assert not search.hides(f"{folder}/lib-1.2")


def test_the_hook_answers_for_hidden_folders_only(folder: str, tmp_path: Path) -> None:
    search = SearchPath()
    search.hide(folder)
    (tmp_path / "mine" / "part.py").write_text("")
    assert search.hook(folder).find_spec("part") is None
    with pytest.raises(ImportError):
        search.hook(str(tmp_path))


def test_finders_made_before_are_forgotten(folder: str) -> None:
    search = SearchPath()
    sys.path_importer_cache[folder] = None
    search.hide(folder)
    assert folder not in sys.path_importer_cache


def test_being_inside_is_not_beginning_alike() -> None:
    assert is_inside("/srv/a", "/srv/a")
    assert is_inside("/srv/a/b", "/srv/a")
    assert not is_inside("/srv/ab", "/srv/a")
    assert not is_inside(Path("/srv/a"), "/srv/a")
