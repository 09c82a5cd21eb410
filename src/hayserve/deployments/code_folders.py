"""Keeps the files of deployments on disk, where code runs from.

    <root>/<name>/<digest>/…         the files of a bundle
    <root>/<name>/<digest>.json      which of them were put there, for taking them away
    <root>/<name>/<digest>.lock      locked by the processes that run code from there

Every file appears under its name only when it is complete, so that a process that is killed leaves
a whole bundle or none. What a power cut leaves is put right by the next `place`: the truth is in
the database.
"""

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from hayserve.deployments import marks
from hayserve.deployments.bundle import Bundle, check_name, folded
from hayserve.deployments.marks import Mark
from hayserve.errors import InvalidRequest

_DIGITS = 12
_LEFT_BEHIND_AFTER = 3600.0  # seconds; no bundle takes as long to write
_MANIFEST = TypeAdapter(dict[str, str])


class CodeFolders:
    """The folders of code under one folder, which is theirs alone; any process may use it.

    Args:
        root: The folder; it is made when something is placed.

    Every method that takes a name raises `InvalidRequest` if it is not one that `check_name`
    allows, and `OSError` if the disk does not do what it should.
    """

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()

    def place(self, name: str, bundle: Bundle) -> Path:
        """Write the files of `bundle`, unless they are there, and give the folder that holds them.

        A folder of the same bundle that was changed by hand is put right; what else is in it
        stays. Who runs code from it marks it first, else it may be taken away any time.
        """
        with self.mark(name, bundle.digest):
            folder = self.folder_of(name, bundle.digest)
            hashes = {key: _hash_of(data) for key, data in bundle.files.items()}
            _write(_manifest_of(folder), _MANIFEST.dump_json(hashes), drafts=folder.parent)
            if folder.is_dir():
                _put_right(folder, bundle)
            else:
                _write_folder(folder, bundle)
        return folder

    def mark(self, name: str, digest: str) -> Mark:
        """Say that this process runs code from that folder, until the mark is released.

        No process takes away a folder with a mark. Where there is no `flock`, as on Windows, a
        mark does nothing, and who takes away has to know that no other process uses the folder.
        """
        return marks.shared(_lock_of(self.folder_of(name, digest)))

    def folder_of(self, name: str, digest: str) -> Path:
        """Where the files of the bundle with that digest are, or would be."""
        check_name(name)
        if len(digest) < _DIGITS or not set(digest) <= set("0123456789abcdef"):
            raise InvalidRequest(f"{digest!r} is not the digest of a bundle.")
        return self._root / _folder_name(name) / digest[:_DIGITS]

    def take_away(self, name: str, digest: str) -> bool:
        """Take away one folder, unless it is marked.

        Only files that `place` wrote, and that are as it wrote them, are taken away: what a
        wrapper keeps beside its code is its user's.

        Returns:
            Whether the folder is not there any more.
        """
        folder = self.folder_of(name, digest)
        if folder.parent.is_symlink():
            return False
        gone = _take_away(folder)
        _remove_if_empty(folder.parent)
        return gone is True

    def collect(self, keep: Collection[tuple[str, str]]) -> list[Path]:
        """Take away all folders, as `take_away` does, except those that are marked or in `keep`.

        Args:
            keep: Names and digests.

        Returns:
            The folders that stay because something else is in them.
        """
        kept = {self.folder_of(name, digest) for name, digest in keep}
        return [
            folder
            for place in sorted(self._root.glob("[!.]*"))
            if place.is_dir() and not place.is_symlink()
            for folder in _collect(place, kept=kept)
        ]


def _folder_name(name: str) -> str:
    """A name that no other shares on any disk, be it blind to case or to a dot at the end."""
    if name == folded(name) and not name.endswith("."):
        return name
    return f"{name}~{_hash_of(name.encode())[:8]}"


def _collect(place: Path, *, kept: Collection[Path]) -> list[Path]:
    _sweep(place)
    files = [*place.glob("[!.]*.json"), *place.glob("[!.]*.lock")]
    folders = {file.with_suffix("") for file in files}.difference(kept)
    stay = [folder for folder in sorted(folders) if _take_away(folder) is False]
    _remove_if_empty(place)
    return stay


def _take_away(folder: Path) -> bool | None:
    """Whether the folder is gone; None if a process uses it."""
    lock = _lock_of(folder)
    with suppress(FileNotFoundError):  # there is nothing of that name, or not any more
        mark = marks.alone(lock)
        if mark is None:
            return None
        with mark:
            gone = _remove_own_files(folder)
            with suppress(PermissionError):  # Windows does not delete what is open
                lock.unlink()
            return gone
    return not folder.exists()


def _remove_own_files(folder: Path) -> bool:
    """Remove what is as it was written; whether the folder is gone."""
    manifest = _manifest_of(folder)
    try:
        hashes = _MANIFEST.validate_json(manifest.read_bytes())
    except FileNotFoundError:
        return not folder.exists()
    except ValidationError:
        return False
    real = Path(os.path.realpath(folder.parent), folder.name)
    for key, expected in hashes.items():
        file = folder / key
        # A folder in it may have been replaced by a link to somewhere else.
        is_own = Path(os.path.realpath(file)) == real / key
        if is_own and file.is_file() and _hash_of(file.read_bytes()) == expected:
            file.unlink()
    _remove_empty_folders(folder)
    if folder.exists():
        return False
    manifest.unlink()
    return True


def _write_folder(folder: Path, bundle: Bundle) -> None:
    draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        for key, data in bundle.files.items():
            file = draft / key
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
        draft.rename(folder)
    except OSError:
        shutil.rmtree(draft, ignore_errors=True)
        if not folder.is_dir():  # else another process was faster: it is the same bundle
            raise


def _put_right(folder: Path, bundle: Bundle) -> None:
    for key, data in bundle.files.items():
        file = folder / key
        for inside in [file, *file.parents][: key.count("/") + 1]:
            if inside.is_symlink():  # what it leads to is not ours to write
                inside.unlink()
        if not file.is_file() or file.read_bytes() != data:
            file.parent.mkdir(parents=True, exist_ok=True)
            _write(file, data, drafts=folder.parent)


def _remove_empty_folders(folder: Path) -> None:
    inside = [path for path in folder.rglob("*") if path.is_dir() and not path.is_symlink()]
    for path in [*sorted(inside, reverse=True), folder]:
        _remove_if_empty(path)


def _remove_if_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()


def _write(file: Path, data: bytes, *, drafts: Path) -> None:
    """Replace `file` as a whole: who reads it, or comes after a crash, sees all or nothing."""
    handle, draft = tempfile.mkstemp(prefix=".", suffix=".tmp", dir=drafts)
    os.close(handle)
    try:
        Path(draft).write_bytes(data)
        Path(draft).replace(file)
    except OSError:
        Path(draft).unlink(missing_ok=True)
        raise


def _sweep(place: Path) -> None:
    """Remove the drafts of a process that was killed, but not those of one that still writes."""
    for draft in place.glob(".*"):
        with suppress(FileNotFoundError):  # its process has finished it
            if draft.stat().st_mtime > time.time() - _LEFT_BEHIND_AFTER:
                continue
            if draft.is_dir():
                shutil.rmtree(draft, ignore_errors=True)
            else:
                draft.unlink()


def _manifest_of(folder: Path) -> Path:
    return folder.with_suffix(".json")


def _lock_of(folder: Path) -> Path:
    return folder.with_suffix(".lock")


def _hash_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
