"""What answers are written to in place of a connection's transport."""

import asyncio
from typing import Any


class Joining:
    """The transport, for answers: a head goes out together with the first of its body.

    Writing to a socket twice is most of what a small answer costs.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._head = b""
        self.is_closing = transport.is_closing

    def write(self, data: bytes) -> None:
        if self._head:
            self._transport.write(self._head + data)
            self._head = b""
        elif data.startswith(b"HTTP/1.1 "):
            self._head = data
            self._loop.call_soon(self._flush)
        else:
            self._transport.write(data)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._head:
            self._transport.write(self._head)
            self._head = b""


class Parting:
    """The transport, for an answer that may end before its request does."""

    def __init__(self, transport: asyncio.Transport, linger: Any) -> None:
        self.write = transport.write
        self.is_closing = transport.is_closing
        self.close = linger
