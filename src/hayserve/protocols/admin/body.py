"""Reads what is deployed from a request, no more of it than may be."""

import tempfile
from collections.abc import AsyncGenerator, Generator
from contextlib import contextmanager
from typing import BinaryIO, cast

import anyio.to_thread
from starlette.requests import ClientDisconnect, Request

from hayserve.errors import InvalidRequest, TooLarge

_IN_MEMORY = 1024 * 1024


async def read_body(request: Request, *, most: int, refusal: TooLarge) -> bytes:
    """The body of a request.

    Raises:
        TooLarge: It has more than `most` bytes; the rest is not read. It is `refusal`.
    """
    return b"".join([piece async for piece in _pieces(request, most=most, refusal=refusal)])


async def spool_body(request: Request, file: BinaryIO, *, most: int, refusal: TooLarge) -> None:
    """Write the body of a request to `file`, and begin it again.

    Raises:
        TooLarge: As `read_body`.
    """
    async for piece in _pieces(request, most=most, refusal=refusal):
        await anyio.to_thread.run_sync(file.write, piece)
    file.seek(0)


async def _pieces(request: Request, *, most: int, refusal: TooLarge) -> AsyncGenerator[bytes]:
    size = 0
    try:
        async for piece in request.stream():
            size += len(piece)
            if size > most:
                raise refusal
            yield piece
    except ClientDisconnect:
        raise InvalidRequest("The connection was closed before all of it had come.") from None


@contextmanager
def spool() -> Generator[BinaryIO]:
    """A file that is in memory while it is small."""
    with tempfile.SpooledTemporaryFile(_IN_MEMORY) as file:
        yield cast(BinaryIO, file)
