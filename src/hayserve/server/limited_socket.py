"""A connection over WebSocket that ends in good order, and does not wait for who takes nothing."""

from http import HTTPStatus
from typing import Any, cast

from uvicorn._types import ASGISendEvent
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

from hayserve.protocols.line import EXTENSION

# How long a client may still take what it was sent, or send what nobody reads.
CLOSE_SECONDS = 10.0
_REFUSAL = "websocket.http.response.body"
_REFUSED = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class LimitedSocket(WebSocketsSansIOProtocol):
    """Uvicorn's connection, which the application tells whether something is under way.

    Args:
        options: As uvicorn gives them.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.is_busy = False  # as `hayserve.protocols.line.Line` has it
        self._is_accepted = False  # the handshake, as far as it is for the web server to say
        self._is_leaving = self._is_deaf = False

    def data_received(self, data: bytes) -> None:
        if self._is_deaf:
            return
        super().data_received(data)
        if not (self.handshake_initiated or self.transport.is_closing()):
            # HTTP let it pass, and WebSocket has other limits. Nobody else would answer.
            self.transport.write(b"".join(self.conn.data_to_send()) or _REFUSED)
            self.transport.close()

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        self._is_accepted = self.response.status_code == HTTPStatus.SWITCHING_PROTOCOLS
        if self._is_accepted:
            self._extensions[EXTENSION] = self

    async def send(self, message: ASGISendEvent) -> None:
        await super().send(message)
        if message["type"] == _REFUSAL and not message.get("more_body"):
            # An answer in place of a handshake: uvicorn would log that there was none.
            self.handshake_complete = self._is_leaving = True

    def handle_parser_exception(self) -> None:
        """Say why it ends, as when a message is too large, and read on for a while.

        Closed at once, with bytes unread, it would be reset, and the client would never know why.
        """
        assert self.conn.close_sent is not None
        code, reason = self.conn.close_sent.code, self.conn.close_sent.reason
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.transport.write(b"".join(self.conn.data_to_send()))
        self._is_deaf = self.close_sent = True
        self.close_timer = self.loop.call_later(CLOSE_SECONDS, self.transport.close)
        self.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._is_accepted:
            del self._extensions[EXTENSION]  # they hold each other

    def keepalive_timeout(self) -> None:
        """Give up a client that does not answer; what it does not take is never written."""
        super().keepalive_timeout()
        self.loop.call_later(CLOSE_SECONDS, self.transport.abort)

    def shutdown(self) -> None:
        """Close it, once, unless something is under way: then the application does."""
        if self.is_busy or self._is_leaving:
            return
        self._is_leaving = True
        super().shutdown()

    @property
    def _extensions(self) -> Any:
        return cast(Any, self.scope)["extensions"]
