"""Reads on after headers that ask for another protocol, as Java's client asks for HTTP/2.

httptools takes such a request to end with its headers: its body would be lost, or, if it comes a
little later, be taken for the next request.
"""

from collections.abc import Iterable

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

Headers = Iterable[tuple[bytes, bytes]]
_FRAMING = (b"content-length", b"transfer-encoding")


def has_body(headers: Headers) -> bool:
    return any(name in _FRAMING and value != b"0" for name, value in headers)


def parser_after(headers: Headers, protocol: HttpToolsProtocol) -> httptools.HttpRequestParser:
    """A parser for the body that belongs to `headers`, and for the requests after it."""
    parser = httptools.HttpRequestParser(_AfterHeaders(protocol))
    parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's
    lines = b"".join(b"%b: %b\r\n" % header for header in headers if header[0] in _FRAMING)
    parser.feed_data(b"POST / HTTP/1.1\r\n" + lines + b"\r\n")
    return parser


class _AfterHeaders:
    """Tells the protocol everything but the headers that it knows."""

    def __init__(self, protocol: HttpToolsProtocol) -> None:
        self._protocol = protocol
        self._knows_headers = True
        self.on_body = protocol.on_body
        self.on_message_complete = protocol.on_message_complete

    def on_message_begin(self) -> None:
        if not self._knows_headers:
            self._protocol.on_message_begin()

    def on_url(self, url: bytes) -> None:
        if not self._knows_headers:
            self._protocol.on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._knows_headers:
            self._protocol.on_header(name, value)

    def on_headers_complete(self) -> None:
        if not self._knows_headers:
            self._protocol.on_headers_complete()
        self._knows_headers = False
