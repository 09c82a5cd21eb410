"""A connection over HTTP/1.1 that reads no more of a request, and no longer, than is allowed."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from typing import Any, cast
from urllib.parse import unquote

import httptools
from uvicorn._types import ASGI3Application, HTTPScope
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from hayserve.errors import InvalidRequest, RequestTimeout, TooBusy
from hayserve.protocols.body import EXTENSION
from hayserve.protocols.json_bytes import to_json
from hayserve.server.access_log import AccessLog
from hayserve.server.exchange import Exchange
from hayserve.server.http_refusal import Refusal, head_too_large, refusal_of
from hayserve.server.http_upgrade import has_body, parser_after

logger = logging.getLogger("hayserve.server")

MOST_HEADERS = 256
MOST_PIPELINED = 100
# After a last answer the connection is read on for a while: closed at once, with bytes unread, it
# would be reset, and a client that still sends would never read that answer.
# Source: https://www.rfc-editor.org/rfc/rfc9112#section-9.6
LINGER_SECONDS = 10.0
LINGER_BYTES = 256_000_000


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """What is read of a request, and for how long.

    Args:
        header_bytes: How large its line and its headers may be together.
        header_seconds: How long they may take to arrive.
        body_seconds: How long its body may pause, where its deployment does not say.
    """

    header_bytes: int
    header_seconds: float
    body_seconds: float


class LimitedHttp(HttpToolsProtocol):
    """Uvicorn's connection, with limits.

    One timer per connection is enough, also for the time between two requests: it is not moved
    with every deadline, as timers cost more than all else here, but looks for it when it fires.

    Args:
        arguments: As uvicorn gives them.
        limits: The limits.
        access_log: What each request is said to; by default uvicorn's own logger.
        options: As uvicorn gives them.
    """

    def __init__(
        self,
        *arguments: Any,
        limits: HttpLimits,
        access_log: AccessLog | None = None,
        **options: Any,
    ) -> None:
        super().__init__(*arguments, **options)
        if access_log is not None:
            self.access_logger = cast(logging.Logger, access_log)
        self.url, self.headers = b"", []
        self.scope = cast(HTTPScope, {})  # until a request begins
        self.is_late = False  # as `hayserve.protocols.body.Arrival` has it
        self._limits = limits
        self._extensions: dict[str, Any] = {EXTENSION: self}
        self._fed = 0  # bytes since a head or a piece of a body was complete
        self._awaited_head: HTTPScope | None = None
        self._awaited_body: RequestResponseCycle | None = None
        self._ahead: RequestResponseCycle | None = None  # if others wait for it to be answered
        self._is_kept = False
        self._pause = limits.body_seconds
        self._timer: asyncio.TimerHandle | None = None
        self._fires_at = self._due = inf
        self._is_upgraded = False
        self._is_deaf = False
        self._thrown_away = 0
        self._last_words = b""

    parser: httptools.HttpRequestParser
    app: ASGI3Application

    # The connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(cast(asyncio.Transport, transport))
        self._parting = cast(asyncio.Transport, _Parting(self.transport, self._linger))
        self._expect_in(self._limits.header_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        self._extensions.clear()
        if self._ahead is not None:
            _disconnect(self._ahead)  # uvicorn only tells the last of several requests
        super().connection_lost(exc)

    def shutdown(self) -> None:
        self._is_kept = False
        super().shutdown()

    def data_received(self, data: bytes) -> None:
        if self._is_deaf:
            self._throw_away(len(data))
            return
        self._fed += len(data)
        held = 0 if self._awaited_body is None else len(self._awaited_body.body)
        rest: bytes | None = None
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._end_body()
            self._refuse(refusal_of(error))
        except httptools.HttpParserUpgrade as upgrade:
            rest = data[upgrade.args[0] :]
        else:
            self._await_rest(held)
        if rest is not None:  # out here, where nothing is the context of what is raised for it
            self._upgrade(rest)

    def _upgrade(self, rest: bytes) -> None:
        self._fed = 0
        if self._should_upgrade():
            self._stop_timer()
            self.handle_websocket_upgrade()
            return
        if has_body(self.scope["headers"]):
            self.cycle.more_body = True
            self.cycle.message_event.clear()
            try:
                self.parser = parser_after(self.scope["headers"], self)
            except httptools.HttpParserError as error:
                self._refuse(refusal_of(error))
                return
        self.data_received(rest)

    def on_headers_complete(self) -> None:
        if (
            self._fed > self._limits.header_bytes
            or len(self.headers) > MOST_HEADERS
            or self.pipeline
        ):
            self._check_head()
        parser, scope = self.parser, self.scope
        version = parser.get_http_version()
        scope["method"] = parser.get_method().decode("ascii")
        if version != "1.1":
            scope["http_version"] = version
        self._locate(scope)
        if parser.should_upgrade() and self._should_upgrade():
            self._check_handshake(scope)
            self._is_upgraded = True
            return
        self._due = inf
        scope["extensions"] = self._extensions
        self.headers = []  # what comes after the body is no part of what was authorized
        before = self.cycle
        self.cycle = Exchange(self, keep_alive=version != "1.0" and parser.should_keep_alive())
        if not before or before.response_complete:
            self._start_asgi_task(self.cycle, self.app)
            return
        self.flow.pause_reading()
        self.pipeline.appendleft((self.cycle, self.app))
        if self._ahead is None:
            self._ahead = before

    def _check_handshake(self, scope: HTTPScope) -> None:
        if has_body(self.headers):
            raise Refusal(400, InvalidRequest("A WebSocket does not begin with a body."))
        if scope["method"] != "GET" or scope["http_version"] != "1.1":
            raise Refusal(400, InvalidRequest("A WebSocket begins with a GET over HTTP/1.1."))
        if self.cycle and not self.cycle.response_complete:
            early = "A WebSocket does not begin before all requests are answered."
            raise Refusal(400, InvalidRequest(early))

    def _locate(self, scope: HTTPScope) -> None:
        url = httptools.parse_url(self.url)
        if not url.path:
            without = "The request is not HTTP/1.1: its target has no path."
            raise Refusal(400, InvalidRequest(without))
        path = url.path.decode("ascii")
        scope["path"] = unquote(path) if "%" in path else path
        scope["raw_path"] = url.path
        scope["query_string"] = url.query or b""

    def on_body(self, body: bytes) -> None:
        cycle = self.cycle  # not answered yet: after an answer that comes sooner, nothing is parsed
        cycle.body += body
        if len(cycle.body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        cycle.message_event.set()

    def on_message_complete(self) -> None:
        if not self._is_upgraded:
            self.cycle.more_body = False
            self.cycle.message_event.set()

    def on_response_complete(self) -> None:
        if self.pipeline or self._is_deaf:
            self._answer_next()
            return
        self.server_state.total_requests += 1
        self._ahead = None
        if not self.transport.is_closing():
            self.flow.resume_reading()
            if "method" in self.scope:
                self._expect_in(self.timeout_keep_alive)

    def _answer_next(self) -> None:
        if self.pipeline:
            self._ahead = self.pipeline[-1][0]
            super().on_response_complete()
            return
        self.server_state.total_requests += 1
        self._ahead = None
        if self._last_words:
            self._say_last_words()

    def _refuse(self, refusal: Refusal) -> None:
        """Answer in place of the application, in turn, and read no more."""
        extra = {"status": refusal.status, "why": refusal.error.message, "client": self.client}
        logger.info("request_refused", extra=extra)
        self._is_deaf, self._due = True, inf
        self._last_words = self._answer(refusal)
        running = self._ahead or self.cycle
        if self.cycle and self.cycle.more_body:
            self._drop(self.cycle)
        if not running or running.response_complete or running.disconnected:
            self._say_last_words()

    def _drop(self, cycle: RequestResponseCycle) -> None:
        _disconnect(cycle)
        if self.pipeline and self.pipeline[0][0] is cycle:
            self.pipeline.popleft()
        elif cycle.response_started:
            self.transport.close()

    def _answer(self, refusal: Refusal) -> bytes:
        error = refusal.error
        body = to_json({"detail": error.message, "hint": error.hint, "code": error.code})
        headers = [
            *self.server_state.default_headers,
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ]
        lines = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
        return STATUS_LINE[refusal.status] + lines + b"\r\n" + body

    def _say_last_words(self) -> None:
        words, self._last_words = self._last_words, b""
        if not self.transport.is_closing():
            self.transport.write(words)
            self._linger()

    def _linger(self) -> None:
        self._is_deaf, self._last_words = True, b""
        self.pipeline.clear()
        self._expect_in(LINGER_SECONDS)
        self.flow.resume_reading()
        with suppress(NotImplementedError):  # over TLS
            self.transport.write_eof()

    def _throw_away(self, size: int) -> None:
        self._thrown_away += size
        if self._thrown_away > LINGER_BYTES:
            self.transport.abort()

    # What is still to come

    def allow(self, pause: float) -> None:
        """As `hayserve.protocols.body.Arrival` has it."""
        if pause != self._pause and self._awaited_body is not None:
            self._pause = pause
            self._expect_in(pause)

    def _await_rest(self, held: int) -> None:
        self._end_body()
        if "method" not in self.scope:
            self._await_head()
        elif self.cycle and self.cycle.more_body:
            self._await_body(held)
        else:
            self._fed = 0

    def _await_head(self) -> None:
        if self._awaited_head is not self.scope:
            self._awaited_head = self.scope
            self._fed = self._head_size()  # there may have been other requests before this one
            self._expect_in(self._limits.header_seconds)
        if self._fed > self._limits.header_bytes or len(self.headers) > MOST_HEADERS:
            self._refuse(head_too_large(self._limits.header_bytes, MOST_HEADERS))

    def _check_head(self) -> None:
        if len(self.headers) > MOST_HEADERS or self._head_size() > self._limits.header_bytes:
            raise head_too_large(self._limits.header_bytes, MOST_HEADERS)
        if len(self.pipeline) >= MOST_PIPELINED:
            raise Refusal(429, TooBusy("Too many requests were sent before their answers."))

    def _head_size(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _await_body(self, held: int) -> None:
        cycle = self.cycle
        if self._awaited_body is None:
            self._awaited_body = cycle
            # If the answer begins before this is all there, it is the last over this connection.
            self._is_kept, cycle.keep_alive = cycle.keep_alive, False
            cycle.transport = self._parting
            self._pause = self._limits.body_seconds
            self._fed = 0
        elif len(cycle.body) > held:
            self._fed = 0
        elif self._fed > self._limits.header_bytes:
            self._refuse(head_too_large(self._limits.header_bytes, MOST_HEADERS))
            return
        self._expect_in(self._pause)

    def _end_body(self) -> None:
        cycle = self._awaited_body
        if cycle is not None and not cycle.more_body:
            self._awaited_body, self._due = None, inf
            if not cycle.response_started:
                cycle.keep_alive = self._is_kept

    # The clock

    def _expect_in(self, seconds: float) -> None:
        self._due = self.loop.time() + seconds
        if self._timer is None or self._fires_at > self._due:
            self._start_timer()

    def _start_timer(self) -> None:
        self._stop_timer()
        self._timer = self.loop.call_at(self._due, self._look_at_clock)
        self._fires_at = self._due

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look_at_clock(self) -> None:
        self._timer = None
        if self._due <= self.loop.time():
            self._give_up()
        elif self._due < inf:
            self._start_timer()

    def _give_up(self) -> None:
        if self._is_deaf:
            self.transport.abort()
        elif self._awaited_body is not None:
            self._give_up_body(self._awaited_body)
        elif not self.scope or "method" in self.scope:
            self.transport.close()
        elif self.flow.read_paused:
            self._expect_in(self._limits.header_seconds)
        else:
            late = RequestTimeout("The headers took too long to arrive.", hint="Send them at once.")
            self._refuse(Refusal(408, late))

    def _give_up_body(self, cycle: RequestResponseCycle) -> None:
        if self.flow.read_paused or cycle.waiting_for_100_continue:
            self._expect_in(self._pause)  # the client waits for us
        elif self.is_late:
            self.transport.close()  # whoever reads the body does not care
        else:
            self.is_late = True
            cycle.message_event.set()
            self._expect_in(self._pause)


class _Parting:
    """The transport, for an answer that may end before its request does."""

    def __init__(self, transport: asyncio.Transport, linger: Callable[[], None]) -> None:
        self.write = transport.write
        self.is_closing = transport.is_closing
        self.close = linger


def _disconnect(cycle: RequestResponseCycle) -> None:
    cycle.disconnected, cycle.waiting_for_100_continue = True, False
    cycle.message_event.set()
