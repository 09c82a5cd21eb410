"""The files of a deployment as one archive: packed by who sends it, unpacked within limits."""

import gzip
import io
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, BinaryIO

from hayserve.deployments import untar, unzip
from hayserve.deployments.bundle import (
    WRAPPER_FILE,
    check_file_key,
    is_ignored,
    too_big,
    too_many,
)
from hayserve.deployments.gunzip import gunzip, pieces_of
from hayserve.errors import InvalidRequest, TooLarge

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_GZIP = b"\x1f\x8b"
_ZIP = b"PK"
_LEVEL = 6
# What macOS puts beside the files, and what a deploy of the folder itself leaves out.
_LEFT_OUT = ("__MACOSX", ".*")
# Headers and padding; what is beyond these belongs to no archive of that many files.
_BYTES_AROUND_A_FILE = 4096
_BYTES_AROUND_ALL = 1_000_000


def pack(files: Mapping[str, bytes]) -> bytes:
    """One `.tar.gz` of the files; equal files make equal bytes.

    Args:
        files: Content by path, with `/` between its parts.
    """
    packed = io.BytesIO()
    with (
        gzip.GzipFile("", "wb", _LEVEL, packed, mtime=0) as compressed,
        tarfile.open(fileobj=compressed, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for key in sorted(files):
            info = tarfile.TarInfo(key)
            info.size = len(files[key])
            tar.addfile(info, io.BytesIO(files[key]))
    return packed.getvalue()


def unpack(source: BinaryIO, *, most_bytes: int, most_files: int) -> dict[str, bytes]:
    """The files in a tar, a tar.gz or a zip that may have come from anyone.

    Nothing is written to disk, and reading stops as soon as a limit is exceeded, whatever sizes
    the archive declares. A single folder that holds the whole wrapper is taken off the paths.
    Left out is what Python compiles and builds (`IGNORED_FILES`), names that begin with a dot, and
    what macOS adds; it counts for the limits.

    Args:
        source: The archive, from its beginning; it can seek.
        most_bytes: How large the files may be together, in bytes.
        most_files: How many files, and how many folders, there may be.

    Raises:
        InvalidRequest: It is no archive, or is damaged, or holds something else than plain
            files with paths inside of the folder; the message names the member.
        TooLarge: It holds more than is allowed; the message names the setting.
    """
    intake = _Intake(most_bytes=most_bytes, most_files=most_files)
    for name, chunks in _members_of(source, most_bytes=most_bytes, most_files=most_files):
        intake.take(name, chunks=chunks)
    if not intake.files:
        raise InvalidRequest(
            "The archive has no files.", hint="Pack the wrapper's folder.", param="files"
        )
    return _without_top(intake.files)


class _Intake:
    """The files that have been read, and what may still come."""

    def __init__(self, *, most_bytes: int, most_files: int) -> None:
        self.files = dict[str, bytes]()
        self._most_bytes = most_bytes
        self._most_files = most_files
        self._bytes_seen = 0
        self._files_seen = 0
        self._folders_seen = 0

    def take(self, name: str, *, chunks: Iterable[bytes]) -> None:
        is_folder = name.endswith("/")
        self._count(is_folder=is_folder)
        key = name.removesuffix("/") if is_folder else name
        while key.startswith("./"):
            key = key[2:]
        if not (is_folder and key == "."):
            check_file_key(key)
        content = self._read(chunks)
        if is_folder:
            _check_is_empty(name, content)
        elif not is_ignored(key) and not is_ignored(key, ignore=_LEFT_OUT):
            if key in self.files:
                raise InvalidRequest(
                    f"The archive holds {key!r} twice.",
                    hint="Pack the folder anew, into an archive that does not exist yet.",
                    param="files",
                )
            self.files[key] = content

    def _count(self, *, is_folder: bool) -> None:
        self._folders_seen += is_folder
        self._files_seen += not is_folder
        if self._files_seen > self._most_files:
            raise too_many(self._most_files, of="files")
        if self._folders_seen > self._most_files:
            raise too_many(self._most_files, of="folders")

    def _read(self, chunks: Iterable[bytes]) -> bytes:
        content = io.BytesIO()  # gives away what it holds without a copy
        for chunk in chunks:
            self._bytes_seen += len(chunk)
            if self._bytes_seen > self._most_bytes:
                raise too_big(self._most_bytes)
            content.write(chunk)
        return content.getvalue()


class _Metered(io.RawIOBase):
    """A stream of pieces that ends with an error where no archive is that long."""

    def __init__(self, pieces: Iterator[bytes], *, most: int, refusal: TooLarge) -> None:
        self._pieces = pieces
        self._left = most
        self._refusal = refusal
        self._piece = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        if not self._piece:
            self._piece = memoryview(next(self._pieces, b""))
            self._left -= len(self._piece)
            if self._left < 0:
                raise self._refusal
        room = memoryview(buffer)
        size = min(len(room), len(self._piece))
        room[:size] = self._piece[:size]
        self._piece = self._piece[size:]
        return size


def _members_of(source: BinaryIO, *, most_bytes: int, most_files: int) -> Iterator[untar.Member]:
    source.seek(0)
    start = source.read(2)
    source.seek(0)
    if start == _ZIP:
        return unzip.members(source, most_files=most_files)
    metered = _Metered(
        gunzip(source) if start == _GZIP else pieces_of(source),
        most=most_bytes + most_files * _BYTES_AROUND_A_FILE + _BYTES_AROUND_ALL,
        refusal=too_big(most_bytes),
    )
    return untar.members(io.BufferedReader(metered))


def _check_is_empty(name: str, content: bytes) -> None:
    if content:
        raise InvalidRequest(
            f"{name!r} is a folder in the archive and has the content of a file.",
            hint="Pack the folder anew.",
            param="files",
        )


def _without_top(files: dict[str, bytes]) -> dict[str, bytes]:
    top = f"{next(iter(files)).partition('/')[0]}/"
    if f"{top}{WRAPPER_FILE}" not in files or not all(key.startswith(top) for key in files):
        return files
    return {key.removeprefix(top): data for key, data in files.items()}
