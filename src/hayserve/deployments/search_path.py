"""Keeps the folders of deployments out of `sys.path`, whatever their code does to it."""

import os
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from functools import lru_cache
from importlib.abc import PathEntryFinder
from importlib.machinery import SOURCE_SUFFIXES, FileFinder, ModuleSpec, SourceFileLoader
from types import ModuleType


class SearchPath:
    """What wrappers put on `sys.path` has no effect on anybody else.

    A wrapper that puts its own folder there, or a folder inside it, does so to import its own
    files, which it can do anyway (see `hayserve.deployments.imports`). For all other code such an
    entry finds nothing, and it is gone when loading ends. A folder elsewhere that a wrapper adds
    stays, but moves to the end, where it cannot hide anything.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._folders: list[str] = []
        self._given: set[str] = set()
        self._loading = 0
        self._before: list[str] = []

    def hide(self, folder: str) -> None:
        """Make `folder` invisible as an entry of `sys.path`, but not where it is one by now."""
        with self._lock:
            inside = {os.path.realpath(entry) for entry in sys.path if is_inside(entry, folder)}
            self._given |= {entry for entry in inside if not self.hides(entry)}
            self._folders.append(folder)
            _forget_finders(folder)

    def show(self, folder: str) -> None:
        """Undo one `hide`; after the last one, take what is left of `folder` off `sys.path`."""
        with self._lock:
            if self._folders.count(folder) == 1:
                left = [
                    entry
                    for entry in sys.path
                    if not (is_inside(entry, folder) and self.hides(entry))
                ]
                sys.path[:] = left
            self._folders.remove(folder)
            _forget_finders(folder)

    def hides(self, entry: str) -> bool:
        """Whether `entry` belongs to a hidden folder and was put on `sys.path` by its code."""
        real = os.path.realpath(entry)
        if real in self._given:
            return False
        # A folder with a dot in its name cannot be part of a module's name: it stays as it is.
        return any(
            is_inside(real, folder) and "." not in real.removeprefix(folder)
            for folder in list(self._folders)
        )

    def hook(self, entry: str) -> PathEntryFinder:
        """As an item of `sys.path_hooks`: a finder that finds nothing, for hidden folders."""
        if not self.hides(entry):
            raise ImportError(f"{entry!r} is not the folder of a deployment", path=entry)
        return _HiddenFolder(entry, (SourceFileLoader, SOURCE_SUFFIXES))

    @contextmanager
    def kept(self) -> Generator[None]:
        """Put `sys.path` back in order when the last of the loads that overlap has ended."""
        with self._lock:
            if not self._loading:
                self._before = list(sys.path)
            self._loading += 1
        try:
            yield
        finally:
            with self._lock:
                self._loading -= 1
                if not self._loading:
                    sys.path[:] = self._settled()

    def _settled(self) -> list[str]:
        added = [entry for entry in sys.path if entry not in self._before]
        elsewhere = [entry for entry in added if not self.hides(entry)]
        return [*self._before, *dict.fromkeys(elsewhere)]


class _HiddenFolder(FileFinder):
    """Finds no module, yet lists them: `pkgutil.iter_modules` asks it about private packages."""

    def find_spec(
        self,
        fullname: str,  # noqa: ARG002  # import machinery passes it
        target: ModuleType | None = None,  # noqa: ARG002  # as above
    ) -> ModuleSpec | None:
        return None


def is_inside(entry: object, folder: str) -> bool:
    """Whether `entry` is a path to `folder`, which is a real path, or to something in it."""
    if not isinstance(entry, str):  # a `Path` on sys.path: Python ignores it
        return False
    return f"{os.path.realpath(entry)}{os.sep}".startswith(f"{folder}{os.sep}")


def _forget_finders(folder: str) -> None:
    for entry in list(sys.path_importer_cache):
        if f"{_real(entry)}{os.sep}".startswith(f"{folder}{os.sep}"):
            sys.path_importer_cache.pop(entry, None)


@lru_cache(maxsize=4096)
def _real(entry: str) -> str:
    """Where a path leads: asked again and again of the folders of all packages there are."""
    return os.path.realpath(entry)
