"""The members of a tar one after the other, with nothing believed that its headers say."""

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedIOBase
from types import MappingProxyType
from typing import TypeAlias

from hayserve.deployments.gunzip import PIECE, damaged
from hayserve.errors import InvalidRequest

# Its name, which ends with a slash if it is a folder, and its content.
Member: TypeAlias = tuple[str, Iterator[bytes]]

_BLOCK = tarfile.BLOCKSIZE
_MOST_EXTENSIONS = 8  # headers in front of one member; tar itself writes three
_LARGEST_EXTENSION = 32 * 1024
_MOST_RECORDS = 64  # in the headers of one member; each takes time, however short it is
_LONGEST_NUMBER = 20
_FILES = frozenset({tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE})
_PAX = frozenset({tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE})
_PASSED_OVER = frozenset({tarfile.XGLTYPE, tarfile.GNUTYPE_LONGLINK})
_KINDS = MappingProxyType(
    {
        tarfile.SYMTYPE: "a symbolic link",
        tarfile.LNKTYPE: "a hard link",
        tarfile.CHRTYPE: "a device",
        tarfile.BLKTYPE: "a device",
        tarfile.FIFOTYPE: "a named pipe",
        tarfile.GNUTYPE_SPARSE: "a sparse file",
    }
)
_SPARSE = "GNU.sparse."


@dataclass(frozen=True, slots=True)
class _Header:
    name: str
    type: bytes
    size: int


def members(stream: BufferedIOBase) -> Iterator[Member]:
    """The members of the tar that `stream` holds.

    Each content has to be read before the next member is asked for.

    Raises:
        InvalidRequest: It is no tar, or is damaged, or a member is no plain file and no folder.
    """
    after = ""
    while header := _next_header(stream, after=after):
        content = _content(stream, header)
        yield header.name, content
        for _ in content:  # what the reader has left
            pass
        after = header.name
    while piece := stream.read(PIECE):
        if any(piece):
            raise damaged("There is something behind its end; two archives in a row are not read")


def _next_header(stream: BufferedIOBase, *, after: str) -> _Header | None:
    extended = list[tuple[str, str]]()
    for _ in range(_MOST_EXTENSIONS + 1):
        info = _read_header(stream, after=after)
        if info is None:
            return None
        if info.type in _PAX:
            extended += _records_of(_extension(stream, info))
        elif info.type == tarfile.GNUTYPE_LONGNAME:
            name = _extension(stream, info).partition(b"\0")[0]
            extended.append(("path", _text(name)))
        elif info.type in _PASSED_OVER:
            _extension(stream, info)
        else:
            return _checked(info, dict(extended))
        if len(extended) > _MOST_RECORDS:
            break
    raise damaged(f"Too many headers follow each other{_behind(after)}")


def _read_header(stream: BufferedIOBase, *, after: str) -> tarfile.TarInfo | None:
    block = stream.read(_BLOCK)
    if len(block) < _BLOCK:
        if not after:
            raise _no_archive()
        raise damaged(f"It ends too early{_behind(after)}")
    if not any(block):
        return None
    try:
        info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError) as error:
        if not after:
            raise _no_archive() from error
        raise damaged(f"It is damaged{_behind(after)}") from error
    if info.size < 0:
        raise damaged(f"{info.name!r} has a size below zero")
    return info


def _checked(info: tarfile.TarInfo, extended: dict[str, str]) -> _Header:
    name = extended.get("path", info.name)
    kind = _KINDS.get(info.type)
    if any(key.startswith(_SPARSE) for key in extended):
        kind = _KINDS[tarfile.GNUTYPE_SPARSE]
    if info.type == tarfile.DIRTYPE:
        return _Header(f"{name.rstrip('/')}/", info.type, 0)
    if kind or info.type not in _FILES:
        raise InvalidRequest(
            f"The member {name!r} is {kind or f'of the unknown type {info.type!r}'}.",
            hint="Pack plain files and folders only; `tar --dereference --hard-dereference` puts "
            "the file in the place of a link.",
            param="files",
        )
    return _Header(name, info.type, _number(extended.get("size", str(info.size))))


def _content(stream: BufferedIOBase, header: _Header) -> Iterator[bytes]:
    left = header.size
    while left:
        piece = stream.read(min(PIECE, left))
        if not piece:
            raise damaged(f"It ends too early, in {header.name!r}")
        left -= len(piece)
        yield piece
    padding = -header.size % _BLOCK
    if len(stream.read(padding)) < padding:
        raise damaged(f"It ends too early, in {header.name!r}")


def _extension(stream: BufferedIOBase, info: tarfile.TarInfo) -> bytes:
    if info.size > _LARGEST_EXTENSION:
        raise damaged(f"A header of {info.size} bytes says how a file is called")
    return b"".join(_content(stream, _Header(info.name, info.type, info.size)))


def _records_of(data: bytes) -> list[tuple[str, str]]:
    """What a header of https://pubs.opengroup.org/onlinepubs/9699919799/utilities/pax.html says."""
    records = list[tuple[str, str]]()
    begin = 0
    while begin < len(data):
        length = data[begin : begin + _LONGEST_NUMBER].partition(b" ")[0]
        end = begin + _number(_text(length))
        record = data[begin + len(length) + 1 : end]
        key, equals, value = record.partition(b"=")
        if not equals or not value.endswith(b"\n") or end > len(data):
            raise damaged("A header that says how a file is called is damaged")
        records.append((_text(key), _text(value[:-1])))
        begin = end
    return records


def _number(digits: str) -> int:
    if not (digits.isascii() and digits.isdigit() and len(digits) <= _LONGEST_NUMBER):
        raise damaged(f"It says {digits[:_LONGEST_NUMBER]!r} where a number belongs")
    return int(digits)


def _text(data: bytes) -> str:
    return data.decode(errors="surrogateescape")


def _behind(name: str) -> str:
    return f" behind {name!r}" if name else ""


def _no_archive() -> InvalidRequest:
    return InvalidRequest(
        "What was sent is neither a tar, nor a tar.gz, nor a zip.",
        hint="Pack the wrapper's folder, for example with `tar czf wrapper.tar.gz my_wrapper/`.",
        param="files",
    )
