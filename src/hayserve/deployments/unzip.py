"""The members of a zip one after the other, with nothing believed that its directory says."""

import stat
import struct
import zipfile
import zlib
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import BinaryIO

from hayserve.deployments.bundle import too_many
from hayserve.deployments.gunzip import PIECE, damaged
from hayserve.errors import InvalidRequest

_BYTES_OF_A_MEMBER = 256  # in the directory; its path is most of them
_BYTES_OF_THE_REST = 128 * 1024
_ENCRYPTED = 0x1 | 0x40
_METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
_PLAIN = frozenset({0, stat.S_IFREG, stat.S_IFDIR})
_DAMAGES = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    OSError,
    OverflowError,
    RuntimeError,  # also what is not implemented
    ValueError,
)


def members(source: BinaryIO, *, most_files: int) -> Iterator[tuple[str, Iterator[bytes]]]:
    """The members of the zip that `source` holds: names, of folders with a slash, and contents.

    Args:
        source: The zip; it can seek.
        most_files: How many files, and how many folders, there may be; what has a longer list of
            them is not looked at.

    Raises:
        InvalidRequest: It is damaged, or a member is encrypted, or no plain file, or compressed
            in a rare way.
        TooLarge: It lists too many members.
    """
    limited = _Limited(source, most_files=most_files)
    with _damages_told("its list of files"):
        directory = zipfile.ZipFile(limited)
    for info in directory.infolist():
        _check_is_plain(info)
        yield info.orig_filename, _content(directory, info)


class _Limited:
    """What `ZipFile` needs of a file; its directory, which is read at once, has a limit."""

    def __init__(self, source: BinaryIO, *, most_files: int) -> None:
        self._source = source
        self._most_files = most_files
        self.seek = source.seek
        self.tell = source.tell
        self.seekable = source.seekable

    def read(self, size: int = -1, /) -> bytes:
        if size > _BYTES_OF_THE_REST + 2 * self._most_files * _BYTES_OF_A_MEMBER:
            raise too_many(self._most_files, of="files")
        return self._source.read(size)


def _check_is_plain(info: zipfile.ZipInfo) -> None:
    name = info.orig_filename
    if info.flag_bits & _ENCRYPTED:
        raise _refusal(f"{name!r} is encrypted", hint="Pack it without a password.")
    if info.compress_type not in _METHODS:
        raise _refusal(
            f"{name!r} is compressed by the method {info.compress_type}",
            hint="Pack it with 'deflate', which every tool knows.",
        )
    if stat.S_IFMT(info.external_attr >> 16) not in _PLAIN:
        raise _refusal(
            f"{name!r} is a link or a device",
            hint="Pack plain files and folders only.",
        )


def _content(directory: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[bytes]:
    with _damages_told(repr(info.orig_filename)), directory.open(info) as member:
        while piece := member.read(PIECE):
            yield piece


@contextmanager
def _damages_told(where: str) -> Generator[None]:
    try:
        yield
    except _DAMAGES as error:
        raise damaged(f"It is damaged or ends too early, in {where} ({error})") from error


def _refusal(what: str, *, hint: str) -> InvalidRequest:
    return InvalidRequest(f"The member {what}.", hint=hint, param="files")
