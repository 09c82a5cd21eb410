"""A mark keeps others out until it is released, or its process ends."""

import fcntl
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hayserve.deployments.marks import alone, shared


def test_many_may_share_and_nobody_is_alone_then(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "a.lock"
    with shared(file) as one, shared(file):
        assert alone(file) is None
        one.release()
        assert alone(file) is None
    mark = alone(file)
    assert mark is not None
    assert alone(file) is None
    mark.release()


def test_a_mark_may_be_released_twice(tmp_path: Path) -> None:
    mark = shared(tmp_path / "a.lock")
    mark.release()
    mark.release()


def test_there_is_no_being_alone_in_a_folder_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        alone(tmp_path / "gone" / "a.lock")


@pytest.fixture
def at_the_first_lock(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], None]], None]:
    """Has something done by another process between the opening of a file and its lock."""

    def arrange(what: Callable[[], None]) -> None:
        happens = iter([what])
        flock = fcntl.flock

        def late(handle: int, operation: int) -> None:
            next(happens, lambda: None)()
            flock(handle, operation)

        monkeypatch.setattr(fcntl, "flock", late)

    return arrange


def test_a_file_that_is_deleted_meanwhile_is_made_anew(
    tmp_path: Path, at_the_first_lock: Callable[[Callable[[], None]], None]
) -> None:
    file = tmp_path / "a.lock"
    at_the_first_lock(file.unlink)
    with shared(file):
        assert alone(file) is None


def test_a_file_that_is_replaced_meanwhile_is_locked_anew(
    tmp_path: Path, at_the_first_lock: Callable[[Callable[[], None]], None]
) -> None:
    file = tmp_path / "a.lock"

    def replace() -> None:
        (tmp_path / "other").touch()
        (tmp_path / "other").replace(file)

    at_the_first_lock(replace)
    assert alone(file) is None
    at_the_first_lock(replace)
    with shared(file):
        assert alone(file) is None


def test_where_there_is_no_flock_marks_do_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "fcntl", None)
    with shared(tmp_path / "a.lock"):
        mark = alone(tmp_path / "a.lock")
        assert mark is not None
        mark.release()
