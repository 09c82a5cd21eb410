"""A server's end, in this process; with real signals and clients it is told in e2e/test_drain."""

import asyncio
import logging
import signal
import threading
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from hayserve.errors import HayserveError, Misconfigured
from hayserve.protocols.line import EXTENSION
from hayserve.server.drain import Server
from hayserve.server.serve import run_until_stopped
from hayserve.server.sockets import listening, port_of
from server.serving import settings_in


async def quick(_: Request) -> Response:
    return PlainTextResponse("quick")


async def slow(request: Request) -> Response:
    await asyncio.sleep(float(request.query_params["seconds"]))
    return PlainTextResponse("slow")


async def says_late(socket: WebSocket) -> None:
    """Says when it begins and ends what it is asked for, which takes the seconds that it hears."""
    line = socket.scope["extensions"][EXTENSION]
    await socket.accept()
    with suppress(WebSocketDisconnect):
        while True:
            seconds = float(await socket.receive_text())
            line.is_busy = True
            await socket.send_text("begun")
            await asyncio.sleep(seconds)
            await socket.send_text("done")
            line.is_busy = False


def app_with(lifespan: Any = None) -> Starlette:
    routes = [
        Route("/quick", quick),
        Route("/slow", slow),
        WebSocketRoute("/late", says_late),
    ]
    return Starlette(routes=routes, lifespan=lifespan)


class Running:
    """A server in a thread, and where it listens."""

    def __init__(self, server: Server, url: str) -> None:
        self.server = server
        self.http = httpx2.Client(base_url=url, timeout=10, trust_env=False)
        self.thread = threading.Thread(target=server.run)

    def talk(self, path: str) -> ClientConnection:
        url = str(self.http.base_url).replace("http", "ws").rstrip("/")
        return connect(f"{url}{path}", proxy=None)

    def stop(self) -> None:
        self.server.handle_exit(signal.SIGTERM, None)

    def wait(self) -> float:
        """How long it takes to its end."""
        began = time.monotonic()
        self.thread.join(10)
        assert not self.thread.is_alive()
        return time.monotonic() - began


@contextmanager
def running(folder: Path, **settings: Any) -> Generator[Running]:
    with listening("127.0.0.1", 0) as sockets:
        server = Server(app_with(), settings_in(folder, **settings))
        one = Running(server, f"http://127.0.0.1:{port_of(sockets)}")
        one.thread = threading.Thread(target=server.run, args=[sockets])
        one.thread.start()
        try:
            with one.http:
                yield one
        finally:
            if not server.should_exit:
                one.stop()
            one.wait()


def test_while_requests_are_still_taken_each_answer_closes_its_connection(tmp_path: Path) -> None:
    with running(tmp_path, drain_delay=1) as one:
        assert "connection" not in one.http.get("/quick").headers
        one.stop()
        for _ in range(3):
            assert one.http.get("/quick").headers["connection"] == "close"
        assert one.wait() > 0.5
        with pytest.raises(httpx2.ConnectError):
            one.http.get("/quick")


def test_a_quiet_connection_is_closed_soon(tmp_path: Path) -> None:
    with running(tmp_path, graceful_shutdown_timeout=8) as one:
        one.http.get("/quick")
        one.stop()
        assert one.wait() < 3


@pytest.mark.parametrize(("patience", "seconds", "status"), [(8, 1, 200), (0, 60, 500)])
def test_a_run_under_way_has_its_time_and_no_more(
    tmp_path: Path, *, patience: int, seconds: int, status: int
) -> None:
    with running(tmp_path, graceful_shutdown_timeout=patience) as one:
        answers: list[httpx2.Response] = []

        def ask() -> None:
            answers.append(one.http.get("/slow", params={"seconds": seconds}))

        asking = threading.Thread(target=ask)
        asking.start()
        while not one.server.server_state.tasks:
            time.sleep(0.01)
        one.stop()
        assert one.wait() < 4
        asking.join(10)
        assert [answer.status_code for answer in answers] == [status]


def test_a_websocket_over_which_nothing_is_under_way_is_closed_soon(tmp_path: Path) -> None:
    with running(tmp_path, graceful_shutdown_timeout=8) as one, one.talk("/late") as socket:
        one.stop()
        assert one.wait() < 3
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1012


def test_what_is_under_way_over_a_websocket_has_its_time(tmp_path: Path) -> None:
    with running(tmp_path, graceful_shutdown_timeout=8) as one, one.talk("/late") as socket:
        socket.send("1")
        assert socket.recv() == "begun"
        one.stop()
        assert socket.recv() == "done"
        with pytest.raises(ConnectionClosed):
            socket.recv()
        assert one.wait() < 4


def test_what_is_under_way_over_a_websocket_has_no_more_than_its_time(tmp_path: Path) -> None:
    with running(tmp_path, graceful_shutdown_timeout=0) as one, one.talk("/late") as socket:
        socket.send("60")
        assert socket.recv() == "begun"
        one.stop()
        assert one.wait() < 4


def test_the_interrupt_of_a_terminal_is_for_the_parent(tmp_path: Path) -> None:
    server = Server(app_with(), settings_in(tmp_path), is_worker=True)
    server.handle_exit(signal.SIGINT, None)
    assert not server.should_exit
    server.handle_exit(signal.SIGTERM, None)
    assert server.should_exit


def test_a_beat_comes_from_the_event_loop(tmp_path: Path) -> None:
    beaten = threading.Event()
    server = Server(app_with(), settings_in(tmp_path), beat=beaten.set)
    thread = threading.Thread(target=server.run, args=[[]])
    thread.start()
    assert beaten.wait(5)
    server.handle_exit(signal.SIGTERM, None)
    thread.join(10)
    assert not thread.is_alive()


def failing(error: BaseException) -> Any:
    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncGenerator[None]:
        async with anyio.create_task_group():
            raise error
        yield

    return lifespan


def test_why_an_application_cannot_start_is_raised_and_not_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = Server(app_with(failing(Misconfigured("No."))), settings_in(tmp_path))
    with pytest.raises(Misconfigured, match="No"):
        run_until_stopped(server, sockets=[])
    assert "Traceback" not in caplog.text


def test_any_other_failure_to_start_is_logged_and_ends_the_program(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = Server(app_with(failing(ZeroDivisionError("zero"))), settings_in(tmp_path))
    with pytest.raises(SystemExit) as left:
        run_until_stopped(server, sockets=[])
    assert left.value.code == 1
    assert "ZeroDivisionError: zero" in caplog.text


def test_a_server_that_takes_long_to_start_can_be_stopped_before_that(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    is_starting = threading.Event()

    @asynccontextmanager
    async def forever(_: Starlette) -> AsyncGenerator[None]:
        is_starting.set()
        await anyio.sleep(60)
        yield

    server = Server(app_with(forever), settings_in(tmp_path))
    thread = threading.Thread(target=server.run, args=[[]])
    thread.start()
    assert is_starting.wait(5)
    server.handle_exit(signal.SIGTERM, None)
    thread.join(5)
    assert not thread.is_alive()
    assert "Traceback" not in caplog.text


def test_a_failure_at_the_end_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)

    @asynccontextmanager
    async def failing_late(_: Starlette) -> AsyncGenerator[None]:
        yield
        raise HayserveError("Too late.")

    server = Server(app_with(failing_late), settings_in(tmp_path))
    thread = threading.Thread(target=server.run, args=[[]])
    thread.start()
    while not server.started:
        time.sleep(0.01)
    server.handle_exit(signal.SIGTERM, None)
    thread.join(5)
    assert not server.has_failed
    assert "Too late." in caplog.text
