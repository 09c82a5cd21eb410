"""The web server, ending in good order: readiness first, then listening, then runs under way."""

import logging
import os
import signal
import socket
import threading
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from itertools import count
from math import inf
from types import FrameType
from typing import Any, cast

import anyio
import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.types import Message, Receive, Scope, Send

from hayserve.errors import HayserveError
from hayserve.server.access_log import access_log
from hayserve.server.app import Application
from hayserve.server.http_options import http_options
from hayserve.server.limited_socket import LimitedSocket
from hayserve.server.middleware import Forwarded
from hayserve.server.signals import Terminal, on_hangup, unheeded
from hayserve.settings import Settings

logger = logging.getLogger("hayserve.server")

# A connection over which nothing comes for so long is closed when the server stops. Clients that
# send one request after the other are told `connection: close` before that.
LINGER_SECONDS = 0.5
AT_ONCE_SECONDS = 1.0
TICK_SECONDS = 0.1  # as uvicorn's
TICKS_PER_BEAT = 10
_MB = 1_000_000


class Serving:
    """An application, and what becomes of its requests when the server stops.

    Args:
        app: The application; `app.state.is_stopping` tells it when it is not ready any more.
    """

    def __init__(self, app: Starlette) -> None:
        self._app = app
        self._respond = app.respond if isinstance(app, Application) else app
        self._is_stopping = False
        self.failure: HayserveError | None = None

    def stop(self) -> None:
        self._is_stopping = self._app.state.is_stopping = True

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] == "lifespan":
            return self._live(scope, receive, send)
        if self._is_stopping:
            return self._answer_last(scope, receive, send)
        return self._respond(scope, receive, send)

    async def _answer_last(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_and_close(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["connection"] = "close"
            await send(message)

        await self._respond(scope, receive, send_and_close)

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Keep a failure of ours for whoever started the server: it says more than a traceback."""
        failed: list[Message] = []

        async def send_on(message: Message) -> None:
            if message["type"] == "lifespan.startup.failed":
                failed.append(message)
            else:
                await send(message)

        try:
            await self._app(scope, receive, send_on)
        except BaseException as error:
            if self._is_stopping and isinstance(error, anyio.get_cancelled_exc_class()):
                return  # a start that was given up; only the web server is outside of this
            self.failure = _ours(error)
            for message in failed:
                await send({**message, "message": ""} if self.failure else message)
            raise


def _ours(error: BaseException) -> HayserveError | None:
    if isinstance(error, BaseExceptionGroup):
        inner = cast(BaseExceptionGroup[BaseException], error).exceptions
        return next((found for one in inner if (found := _ours(one))), None)
    return error if isinstance(error, HayserveError) else None


class Server(uvicorn.Server):
    """Serves an application until it is told to stop; at once if it is told twice.

    Args:
        app: The application.
        settings: How it is served, and how long stopping may take.
        beat: Called from the event loop once a second.
        is_worker: Whether it is told to stop by its parent, and not by Ctrl-C, which both get.
    """

    def __init__(
        self,
        app: Starlette,
        settings: Settings,
        *,
        beat: Callable[[], None] = lambda: None,
        is_worker: bool = False,
    ) -> None:
        self.serving = Serving(app)
        self.has_failed = False
        self._beat = beat
        self._is_worker = is_worker
        self._delay, self._patience = settings.drain_delay, settings.graceful_shutdown_timeout
        self._quiet_since: dict[Any, float] = {}
        self._terminal = Terminal()
        self._access_log = access_log() if settings.access_log else None
        config = uvicorn.Config(
            self.serving,
            interface="asgi3",
            proxy_headers=False,
            log_config=None,
            access_log=settings.access_log,
            timeout_graceful_shutdown=self._patience,
            server_header=False,
            **http_options(
                header_bytes=settings.max_header_kb * 1024,
                header_seconds=settings.header_timeout,
                body_seconds=settings.body_timeout,
                message_bytes=settings.max_body_mb * _MB,
                access_log=self._access_log,
            ),
        )
        config.app = Forwarded(self.serving, trusted=config.forwarded_allow_ips)
        super().__init__(config)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - a signal's handler
        """Stop. Unlike uvicorn's, the process does not end by the signal when all is done."""
        if self._is_worker and sig == signal.SIGINT:
            return
        if self.should_exit:
            self.force_exit = True
            end = threading.Timer(AT_ONCE_SECONDS, os._exit, [1])
            end.daemon = True
            end.start()
        self.should_exit = True
        self.serving.stop()

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        hang_up = unheeded if self._is_worker else self._hang_up
        with super().capture_signals(), on_hangup(hang_up):
            yield

    def _hang_up(self, sig: int, frame: FrameType | None) -> None:
        if self._terminal.is_gone:
            self.handle_exit(sig, frame)
        else:
            logger.warning("no_workers_to_restart", extra={"hint": "start with --workers"})

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, unless told to stop before that is done."""
        has_begun = anyio.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._give_up, tasks.cancel_scope, has_begun)
            try:
                await super().startup(sockets)
            except SystemExit:  # so uvicorn leaves when the application does not start
                self.has_failed = self.should_exit = True
            has_begun.set()

    async def _give_up(self, starting: anyio.CancelScope, has_begun: anyio.Event) -> None:
        await self._wait(lambda: self.should_exit or has_begun.is_set(), seconds=inf)
        if not has_begun.is_set():
            starting.cancel()

    async def on_tick(self, counter: int) -> bool:
        if counter % TICKS_PER_BEAT == 0:
            self._beat()
        self._write_access_log()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take requests a little longer, then no new ones, then wait for those under way."""
        await self._wait(lambda: False, seconds=self._delay)
        for server in self.servers:
            server.close()
        for listening in sockets or []:
            listening.close()
        await self._wait(self._is_quiet, seconds=self._patience)
        self.config.timeout_graceful_shutdown = None if self._is_quiet() else 0
        await super().shutdown(sockets)
        self._write_access_log()

    def _write_access_log(self) -> None:
        if self._access_log is not None:
            self._access_log.flush()

    async def _wait(self, is_over: Callable[[], bool], *, seconds: float) -> None:
        ticks = count()
        end = anyio.current_time() + seconds
        while (left := end - anyio.current_time()) > 0 and not (self.force_exit or is_over()):
            await self.on_tick(next(ticks))
            await anyio.sleep(min(TICK_SECONDS, left))

    def _is_quiet(self) -> bool:
        """Whether nothing is under way any more; connections that have been quiet are closed."""
        now = anyio.current_time()
        for connection in list(self.server_state.connections):
            if _is_busy(connection):
                self._quiet_since.pop(connection, None)
            elif now - self._quiet_since.setdefault(connection, now) >= LINGER_SECONDS:
                connection.shutdown()
        return not (self.server_state.connections or self.server_state.tasks)


def _is_busy(connection: Any) -> bool:
    """Whether a request is under way over it, or something that was asked for over a WebSocket."""
    if isinstance(connection, LimitedSocket):
        return connection.is_busy
    cycle = getattr(connection, "cycle", None)
    return cycle is not None and not cycle.response_complete
