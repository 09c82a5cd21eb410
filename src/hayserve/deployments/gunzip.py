"""What gzip has compressed, piece by piece, however large it would be."""

import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO

from hayserve.errors import InvalidRequest

PIECE = 64 * 1024
# Tools that compress in parallel make one for each block; more of them are only there to take time.
_MOST_PARTS = 100_000
_GZIP_ONLY = 31


def pieces_of(source: BinaryIO) -> Iterator[bytes]:
    """What is left of `source`, as it is."""
    while piece := source.read(PIECE):
        yield piece


def gunzip(source: BinaryIO) -> Iterator[bytes]:
    """What is left of `source`, decompressed, in pieces of at most `PIECE` bytes.

    Raises:
        InvalidRequest: It is damaged or ends too early; after the pieces that could be read.
    """
    data = source.read(PIECE)
    for _ in range(_MOST_PARTS):
        part = zlib.decompressobj(_GZIP_ONLY)
        while not part.eof:
            data = data or source.read(PIECE)
            piece = _inflate(data, by=part.decompress)
            if not (data or piece or part.eof):
                raise damaged("It ends too early")
            data = part.unconsumed_tail
            if piece:
                yield piece
        data = _after_padding(part.unused_data, source)
        if not data:
            return
    raise damaged("It is compressed in too many parts")


def damaged(why: str) -> InvalidRequest:
    """The error of an archive that cannot be read on."""
    return InvalidRequest(
        f"The archive cannot be read. {why}.",
        hint="Pack the folder anew, for example with `tar czf wrapper.tar.gz my_wrapper/`, "
        "and send the whole file.",
        param="files",
    )


def _inflate(data: bytes, *, by: Callable[[bytes, int], bytes]) -> bytes:
    try:
        return by(data, PIECE)
    except zlib.error as error:
        raise damaged(f"Its compression is damaged ({error})") from error


def _after_padding(data: bytes, source: BinaryIO) -> bytes:
    while not (data := data.lstrip(b"\0")):
        data = source.read(PIECE)
        if not data:
            break
    return data
