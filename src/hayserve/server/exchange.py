"""One request and its answer over a connection, as the application sees them.

Uvicorn's does the same. This one writes an answer's head together with the first of its body, as
writing to a socket is most of what a small answer costs, and looks at each header once.
"""

import asyncio
import re
from collections.abc import Iterable

from uvicorn._types import ASGI3Application, ASGISendEvent
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

# What no name and no value of a header may have in it.
# Source: https://www.rfc-editor.org/rfc/rfc9110#section-5
_NOT_IN_NAMES = re.compile(rb"[^!#$%&'*+\-.^_`|~0-9A-Za-z]|^$")
_NOT_IN_VALUES = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_MOST_NAMES_KNOWN = 256
_FRAMING = frozenset({b"content-length", b"transfer-encoding", b"connection"})
_BODILESS = frozenset({204, 304})
_LOG = '%s - "%s %s HTTP/%s" %d'

Headers = Iterable[tuple[bytes, bytes]]

_names: dict[bytes, bytes] = {}  # those that were looked at, in lower case


class Exchange(RequestResponseCycle):
    """Reads a request for an application and writes what it answers.

    Args:
        connection: Where it takes place.
        keep_alive: Whether others may follow it there.
    """

    def __init__(self, connection: HttpToolsProtocol, *, keep_alive: bool) -> None:
        self.scope = connection.scope
        self.transport = connection.transport
        self.flow = connection.flow
        self.logger = connection.logger
        self.access_logger = connection.access_logger
        self.access_log = connection.access_log
        self.default_headers = connection.server_state.default_headers
        self.message_event = asyncio.Event()
        self.on_response = connection.on_response_complete
        self.keep_alive = keep_alive
        self.waiting_for_100_continue = connection.expect_100_continue
        self.body = bytearray()
        self.more_body = True
        self.disconnected = False
        self.response_started = False
        self.response_complete = False
        self.chunked_encoding: bool | None = None
        self.expected_content_length = 0
        self._head = b""  # of the answer, while nothing of its body has come
        self._says_close = False

    async def run_asgi(self, app: ASGI3Application) -> None:
        """Have the application answer; what it fails with is logged."""
        try:
            await app(self.scope, self.receive, self.send)
        except BaseException:  # whatever comes, the client is told
            self.logger.exception("Exception in ASGI application\n")
            await self._fail()
        else:
            if not self.response_complete and not self.disconnected:
                self.logger.error("ASGI callable returned without completing response.")
                await self._fail()
        finally:
            self.on_response = _nothing

    async def _fail(self) -> None:
        if self.response_started:
            self._flush()
            self.transport.close()
        else:
            await self.send_500_response()

    async def send(self, message: ASGISendEvent) -> None:
        """Take a message of the application's; wait while the client takes nothing.

        Raises:
            RuntimeError: It is not the message that comes next, or what it says of the body's
                length is not so.
        """
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        if not self.response_started:
            self._start(message)
        elif self.response_complete:
            raise _unexpected(message, "after response already completed")
        elif message["type"] != "http.response.body":
            raise _unexpected(message, "in place of 'http.response.body'")
        else:
            self._go_on(message.get("body", b""), is_last=not message.get("more_body", False))

    def _start(self, message: ASGISendEvent) -> None:
        if message["type"] != "http.response.start":
            raise _unexpected(message, "in place of 'http.response.start'")
        self.response_started = True
        self.waiting_for_100_continue = False
        status: int = message["status"]
        if self.access_log:
            self._note(status)
        own = self._lines(message.get("headers", ()))
        end = self._framing(status)
        default = b"".join([b"%b: %b\r\n" % header for header in self.default_headers])
        self._head = b"".join((STATUS_LINE[status], default, own, end, b"\r\n"))
        asyncio.get_running_loop().call_soon(self._flush)

    def _lines(self, headers: Headers) -> bytes:
        lines: list[bytes] = []
        for given, value in headers:
            name = _names.get(given) or _checked(given)
            if _NOT_IN_VALUES.search(value):
                raise RuntimeError("Invalid HTTP header value.")
            if name in _FRAMING:
                self._frame(name, value)
            lines += (name, b": ", value, b"\r\n")
        return b"".join(lines)

    def _frame(self, name: bytes, value: bytes) -> None:
        if name == b"content-length":
            if self.chunked_encoding is None:
                self.expected_content_length = int(value)
                self.chunked_encoding = False
        elif name == b"connection":
            if b"close" in [token.strip() for token in value.lower().split(b",")]:
                self.keep_alive, self._says_close = False, True
        elif value.lower() == b"chunked":
            self.expected_content_length = 0
            self.chunked_encoding = True

    def _framing(self, status: int) -> bytes:
        """What the application left to say about how the answer ends."""
        lines = b"" if self.keep_alive or self._says_close else b"connection: close\r\n"
        if self.chunked_encoding is not None:
            return lines
        if self.scope["method"] == "HEAD" or status in _BODILESS:
            return lines
        self.chunked_encoding = True
        return lines + b"transfer-encoding: chunked\r\n"

    def _go_on(self, body: bytes, *, is_last: bool) -> None:
        if self.scope["method"] == "HEAD":
            self.expected_content_length = 0
            body = b""
        elif self.chunked_encoding:
            chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            body = chunk + b"0\r\n\r\n" if is_last else chunk
        else:
            self.expected_content_length -= len(body)
            if self.expected_content_length < 0:
                raise RuntimeError("Response content longer than Content-Length")
        head, self._head = self._head, b""
        if head or body:
            self.transport.write(head + body)
        if is_last:
            self._end()

    def _end(self) -> None:
        if self.expected_content_length:
            raise RuntimeError("Response content shorter than Content-Length")
        self.response_complete = True
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()

    def _flush(self) -> None:
        """Send a head whose body takes its time."""
        head, self._head = self._head, b""
        if head and not self.transport.is_closing():
            self.transport.write(head)

    def _note(self, status: int) -> None:
        scope = self.scope
        client = scope["client"]
        whose = f"{client[0]}:{client[1]}" if client else ""
        version = scope["http_version"]
        # The path alone: a query is a payload, and some put their key there.
        path = scope["raw_path"].decode("ascii")  # else it would not be parsed
        self.access_logger.info(_LOG, whose, scope["method"], path, version, status)


def _nothing() -> None:
    """Whom an exchange tells of its end that is over."""


def _checked(given: bytes) -> bytes:
    """A header's name, in lower case."""
    if _NOT_IN_NAMES.search(given):
        raise RuntimeError("Invalid HTTP header name.")
    name = given.lower()
    if len(_names) < _MOST_NAMES_KNOWN:
        _names[given] = name
    return name


def _unexpected(message: ASGISendEvent, why: str) -> RuntimeError:
    return RuntimeError(f"Unexpected ASGI message {message['type']!r} {why}.")
