"""One HTTP/1.1 exchange without input and output: a request as bytes, and the answer out of bytes.

https://www.rfc-editor.org/rfc/rfc9112
"""

import httptools
import httpx2

SWITCHING_PROTOCOLS = 101
OK = 200
BODY = "hayserve.body"
"""The extension of a response that holds its body, as it came from the transport."""


def bytes_of(request: httpx2.Request) -> bytes:
    """The request as it is sent; its body must have been read.

    Raises:
        httpx2.LocalProtocolError: A header has a line break in it, as keys read from files do.
    """
    lines = [b"%s %s HTTP/1.1" % (request.method.encode("ascii"), request.url.raw_path)]
    for name, value in request.headers.raw:
        if b"\n" in value or b"\r" in value or b"\0" in value:
            raise httpx2.LocalProtocolError(f"Illegal value of the header {name.decode('ascii')!r}")
        lines.append(b"%s: %s" % (name, value))
    return b"\r\n".join((*lines, b"", request.content))


class Answer:
    """An answer that is still coming in; the methods called `on_...` are called by httptools.

    Attributes:
        begun: The status and the headers are here.
        complete: All of the body is here.
        reusable: The connection takes another request.
        waiting: How much of the body has not been taken yet, in bytes.
    """

    __slots__ = (
        "_framed",
        "_interim",
        "_parser",
        "_pieces",
        "begun",
        "complete",
        "headers",
        "reason",
        "reusable",
        "status",
        "waiting",
    )

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._pieces: list[bytes] = []
        self._framed = False
        self._interim = False
        self.begun = False
        self.complete = False
        self.reusable = False
        self.waiting = 0
        self.status = 0
        self.reason = b""
        self.headers: list[tuple[bytes, bytes]] = []

    def feed(self, received: bytes) -> None:
        """Takes what the connection has received.

        Raises:
            httpx2.RemoteProtocolError: This is no HTTP/1.1.
        """
        try:
            self._parser.feed_data(received)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            raise httpx2.RemoteProtocolError(f"The answer is not HTTP/1.1: {error}") from error

    def end(self) -> None:
        """The other side has closed the connection.

        Raises:
            httpx2.RemoteProtocolError: There was more to come.
        """
        if not self.begun:
            raise httpx2.RemoteProtocolError("The connection was closed without an answer")
        if self._framed and not self.complete:
            raise httpx2.RemoteProtocolError("The connection was closed amid the answer")
        self.complete = True
        self.reusable = False

    def take(self) -> bytes:
        """What has come of the body since this was called last."""
        pieces, self._pieces, self.waiting = self._pieces, [], 0
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def as_response(
        self, stream: httpx2.AsyncByteStream | httpx2.SyncByteStream
    ) -> httpx2.Response:
        """The answer as httpx2 has it, with the body still to come from `stream`."""
        extensions = {"http_version": b"HTTP/1.1", "reason_phrase": self.reason, BODY: stream}
        return httpx2.Response(
            self.status, headers=self.headers, stream=stream, extensions=extensions
        )

    def on_message_begin(self) -> None:
        if self.complete:  # nobody asked for a second answer: it is passed over
            self.reusable = False

    def on_status(self, status: bytes) -> None:
        if not self.complete:
            self.reason = status

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.begun:
            return  # a trailer
        self.headers.append((name, value))
        self._framed = self._framed or name.lower() in {b"content-length", b"transfer-encoding"}

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if self.complete:
            return
        if status < OK and status != SWITCHING_PROTOCOLS:
            self._interim = True  # such as "100 Continue": the answer is still to come
            self._framed = False
            self.headers.clear()
        else:
            self.begun = True
            self.status = status

    def on_body(self, body: bytes) -> None:
        if not self.complete:
            self._pieces.append(body)
            self.waiting += len(body)

    def on_message_complete(self) -> None:
        if self._interim:
            self._interim = False
        elif not self.complete:
            self.complete = True
            self.reusable = self._parser.should_keep_alive()
