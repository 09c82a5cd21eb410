"""Says which processes use a folder, so that none takes it away from another."""

import os
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Self


class Mark:
    """A lock on a file that ends with `release`, and when the process ends, however it ends.

    The processes that a process starts do not have its marks. Where there is no `flock`, as on
    Windows, a mark says nothing, and any process may take away what another uses.
    """

    def __init__(self, handle: int) -> None:
        self._handle: int | None = handle

    def release(self) -> None:
        """Let the file be; more than once is fine."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


def shared(file: Path) -> Mark:
    """A mark that as many may have as like; it waits while someone has `file` alone.

    `file` and its folder are made if they are not there.
    """
    while True:
        file.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):  # its folder was taken away since
            if mark := _locked(file, alone=False):
                return mark


def alone(file: Path) -> Mark | None:
    """A mark that keeps all others out, None if anyone has one.

    Only who has it may delete `file`.
    """
    with suppress(BlockingIOError):
        return _locked(file, alone=True)
    return None


def _locked(file: Path, *, alone: bool) -> Mark | None:
    """A lock on the file of that name, None if it was deleted while this waited for it."""
    mark = Mark(handle := os.open(file, os.O_RDWR | os.O_CREAT, 0o600))
    with ExitStack() as if_it_fails:
        if_it_fails.callback(mark.release)
        _lock(handle, alone=alone)
        if os.path.samestat(os.fstat(handle), file.stat()):
            if_it_fails.pop_all()
            return mark
    return None


def _lock(handle: int, *, alone: bool) -> None:
    try:
        import fcntl  # noqa: PLC0415  Windows has none
    except ImportError:
        return
    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB if alone else fcntl.LOCK_SH)
