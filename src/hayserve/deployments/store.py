"""Keeps on disk what was deployed over HTTP, so that a restart serves it again.

    <root>/deployments/<name>.json           what should be served
    <root>/bundles/<name>/<digest>/…         its files
    <root>/bundles/<name>/<digest>.json      which of them were put there, for taking them away

Every file appears under its name only when it is complete, so that a process that is killed leaves
the old state or the new one.
"""

import hashlib
import os
import shutil
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AwareDatetime, StringConstraints, TypeAdapter, ValidationError

from hayserve.deployments.bundle import Bundle, check_name
from hayserve.errors import InvalidRequest

Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
_DIGITS = 12
_LEFT_BEHIND_AFTER = 3600.0  # seconds; no bundle takes as long to write


@dataclass(frozen=True, slots=True)
class Entry:
    """One deployment that should be served.

    Args:
        name: Its name.
        kind: Whether its bundle is a wrapper or a YAML pipeline.
        digest: The digest of its bundle.
        deployed_at: When it was deployed, with a time zone.
        aliases: More names for it.
        description: One line for people; may be empty.
        skip_mcp: Whether it is kept out of the list of MCP tools.
    """

    name: str
    kind: Literal["wrapper", "yaml"]
    digest: Digest
    deployed_at: AwareDatetime
    aliases: tuple[str, ...] = ()
    description: str = ""
    skip_mcp: bool = False


@dataclass(frozen=True, slots=True)
class Broken:
    """A file of the store that cannot be used, and why."""

    path: Path
    reason: str


@dataclass(frozen=True, slots=True)
class Stored:
    """What a store holds, by name: what can be served, and what cannot."""

    entries: tuple[Entry, ...]
    broken: tuple[Broken, ...]


_ENTRY = TypeAdapter(Entry)
_MANIFEST = TypeAdapter(dict[str, str])


class Store:
    """The deployments under one folder, which is this store's alone.

    Args:
        root: The folder; it is made when something is stored.

    Every method that takes a name raises `InvalidRequest` if it is not one that `check_name`
    allows, and `OSError` if the disk does not do what it should.
    """

    def __init__(self, root: Path) -> None:
        self._bundles = root.absolute() / "bundles"
        self._deployments = root.absolute() / "deployments"

    def save_bundle(self, name: str, bundle: Bundle) -> Path:
        """Write the files of `bundle`, unless they are there, and give the folder that holds them.

        A folder of the same bundle that was changed by hand is put right; what else is in it
        stays.
        """
        folder = self.folder_of(name, bundle.digest)
        folder.parent.mkdir(parents=True, exist_ok=True)
        hashes = {key: _hash_of(data) for key, data in bundle.files.items()}
        _write(_manifest_of(folder), _MANIFEST.dump_json(hashes), drafts=folder.parent)
        if folder.is_dir():
            _put_right(folder, bundle)
        else:
            _write_folder(folder, bundle)
        return folder

    def folder_of(self, name: str, digest: str) -> Path:
        """Where the files of the bundle with that digest are, or would be."""
        check_name(name)
        if len(digest) < _DIGITS or not set(digest) <= set("0123456789abcdef"):
            raise InvalidRequest(f"{digest!r} is not the digest of a bundle.")
        return self._bundles / name / digest[:_DIGITS]

    def record(self, entry: Entry) -> None:
        """Serve `entry` after the next start, in place of what had its name.

        Raises:
            FileNotFoundError: Its bundle was not saved.
        """
        folder = self.folder_of(entry.name, entry.digest)
        if not folder.is_dir():
            raise FileNotFoundError(f"The bundle {folder.name!r} of {entry.name!r} is not saved.")
        self._deployments.mkdir(parents=True, exist_ok=True)
        _write(
            self._file_of(entry.name), _ENTRY.dump_json(entry, indent=2), drafts=self._deployments
        )

    def forget(self, name: str) -> None:
        """Serve nothing of that name after the next start; its files stay until `collect`."""
        with suppress(FileNotFoundError):
            self._file_of(name).unlink()
            _sync_folder(self._deployments)

    def entries(self) -> Stored:
        """All that was recorded, in the order of names."""
        entries: list[Entry] = []
        broken: list[Broken] = []
        for file in sorted(self._deployments.glob("[!.]*.json")):
            try:
                entries.append(self._read(file))
            except (ValueError, OSError, InvalidRequest) as error:
                broken.append(Broken(path=file, reason=_reason_of(error)))
        return Stored(entries=tuple(entries), broken=tuple(broken))

    def discard(self, name: str, digest: str) -> None:
        """Take away one bundle that turned out to be of no use, as `collect` does."""
        _take_away(self.folder_of(name, digest))

    def collect(self, name: str, *keep: str) -> list[Path]:
        """Take away the bundles of `name`, except those with the digests in `keep`.

        Only files that `save_bundle` wrote, and that are as it wrote them, are taken away: what
        a wrapper keeps beside its code is its user's.

        Returns:
            The folders that stay because something else is in them.
        """
        kept = {self.folder_of(name, digest).name for digest in keep}
        place = self._bundles / name
        check_name(name)
        if place.is_symlink() or not place.is_dir():
            return []
        _sweep(place)
        _sweep(self._deployments)
        stays = [
            folder
            for manifest in sorted(place.glob("[!.]*.json"))
            if (folder := manifest.with_suffix("")).name not in kept and not _take_away(folder)
        ]
        with suppress(OSError):
            place.rmdir()
        return stays

    def _file_of(self, name: str) -> Path:
        check_name(name)
        return self._deployments / f"{name}.json"

    def _read(self, file: Path) -> Entry:
        entry = _ENTRY.validate_json(file.read_bytes())
        if entry.name != file.stem:
            raise ValueError(f"It says that its name is {entry.name!r}.")
        if not self.folder_of(entry.name, entry.digest).is_dir():
            raise ValueError("Its files are not there.")
        return entry


def _write_folder(folder: Path, bundle: Bundle) -> None:
    draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        for key, data in bundle.files.items():
            file = draft / key
            file.parent.mkdir(parents=True, exist_ok=True)
            _write_through(file, data)
        for made in {draft, *(parent for parent in draft.rglob("*") if parent.is_dir())}:
            _sync_folder(made)
        draft.rename(folder)
    except OSError:
        shutil.rmtree(draft, ignore_errors=True)
        if not folder.is_dir():  # else another process was faster: it is the same bundle
            raise
    _sync_folder(folder.parent)


def _put_right(folder: Path, bundle: Bundle) -> None:
    for key, data in bundle.files.items():
        file = folder / key
        if not file.is_file() or file.read_bytes() != data:
            file.parent.mkdir(parents=True, exist_ok=True)
            _write(file, data, drafts=folder.parent)


def _take_away(folder: Path) -> bool:
    """Remove what is as it was written; whether the folder is gone."""
    manifest = _manifest_of(folder)
    try:
        hashes = _MANIFEST.validate_json(manifest.read_bytes())
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


def _remove_empty_folders(folder: Path) -> None:
    inside = [path for path in folder.rglob("*") if path.is_dir() and not path.is_symlink()]
    for path in [*sorted(inside, reverse=True), folder]:
        with suppress(OSError):
            path.rmdir()


def _write(file: Path, data: bytes, *, drafts: Path) -> None:
    """Replace `file` as a whole: who reads it, or comes after a crash, sees all or nothing."""
    handle, draft = tempfile.mkstemp(prefix=".", suffix=".tmp", dir=drafts)
    os.close(handle)
    try:
        _write_through(Path(draft), data)
        Path(draft).replace(file)
    except OSError:
        Path(draft).unlink(missing_ok=True)
        raise
    _sync_folder(file.parent)


def _write_through(file: Path, data: bytes) -> None:
    with file.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


def _sync_folder(folder: Path) -> None:
    with suppress(PermissionError):  # Windows does not open folders
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _sweep(place: Path) -> None:
    """Remove the drafts of a process that was killed, but not those of one that still writes."""
    for draft in place.glob(".*"):
        if draft.stat().st_mtime > time.time() - _LEFT_BEHIND_AFTER:
            continue
        if draft.is_dir():
            shutil.rmtree(draft, ignore_errors=True)
        else:
            draft.unlink(missing_ok=True)


def _manifest_of(folder: Path) -> Path:
    return folder.with_suffix(".json")


def _hash_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _reason_of(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return f"{where}: {first['msg']}".removeprefix(": ")
    return str(error)
