"""Connections over WebSocket, on real sockets."""

import time
from collections.abc import Callable
from contextlib import suppress

import pytest
from starlette.types import Receive, Scope, Send
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from hayserve.protocols.line import EXTENSION
from hayserve.server import limited_socket
from hayserve.server.limited_socket import LimitedSocket
from server.raw_http import Echo, Web, on_the_web

HANDSHAKE = (
    b"GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
    b"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


class Speaks:
    """Says what it hears, and is busy when it is told so; `flood` makes it say far too much."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await Echo()(scope, receive, send)
            return
        line = scope["extensions"][EXTENSION]
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            line.is_busy = message["text"] == "busy"
            while message["text"] == "flood":
                await send({"type": "websocket.send", "bytes": b"x" * 1_000_000})
            await send({"type": "websocket.send", "text": message["text"]})


def talk(web: Web) -> ClientConnection:
    return connect("ws://localhost", sock=web.client().socket, compression=None)


def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_connection_carries_messages_both_ways() -> None:
    with on_the_web(Speaks()) as web, talk(web) as socket:
        socket.send("one")
        socket.send("two")

        assert [socket.recv(), socket.recv()] == ["one", "two"]


def test_a_message_that_is_too_large_ends_the_connection() -> None:
    with on_the_web(Speaks(), message_bytes=1000) as web, talk(web) as socket:
        socket.send("x" * 1001)

        with pytest.raises(ConnectionClosed) as ended:
            socket.recv()
        assert ended.value.rcvd is not None
        assert ended.value.rcvd.code == 1009


def test_who_still_sends_a_message_that_is_too_large_is_told_so_all_the_same() -> None:
    with on_the_web(Speaks(), message_bytes=1000) as web, talk(web) as socket:
        with suppress(ConnectionClosed):
            socket.send("x" * 20_000_000)

        with pytest.raises(ConnectionClosed) as ended:
            socket.recv()
        assert ended.value.rcvd is not None
        assert ended.value.rcvd.code == 1009


def test_who_then_goes_on_sending_is_not_read_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limited_socket, "CLOSE_SECONDS", 0.1)
    with on_the_web(Speaks(), message_bytes=1000) as web:
        client = web.client()
        client.send(HANDSHAKE + b"\r\n")
        client.answer()
        client.send(b"\x81\xff" + (5000).to_bytes(8, "big") + b"\0\0\0\0")

        until(lambda: not web.server.server_state.connections)


@pytest.mark.parametrize(
    ("more", "status"),
    [
        (b"", 101),
        (b"a: 1\r\n" * 200, 431),
        (b"a: " + b"x" * 9000 + b"\r\n", 431),
        (b"a: \xff\r\n", 101),
        (b"sec-websocket-version: 12\r\n", 400),
    ],
)
def test_every_handshake_is_answered(more: bytes, status: int) -> None:
    with on_the_web(Speaks(), header_bytes=20_000) as web:
        assert web.ask(HANDSHAKE + more + b"\r\n").status == status


@pytest.mark.parametrize(
    "handshake",
    [
        HANDSHAKE.replace(b"GET", b"POST"),
        HANDSHAKE.replace(b"HTTP/1.1", b"HTTP/1.0"),
        HANDSHAKE.replace(b"GET / ", b"GET /\xff "),
    ],
)
def test_what_is_no_handshake_is_refused(handshake: bytes) -> None:
    with on_the_web(Speaks()) as web:
        refused = web.ask(handshake + b"\r\n")

    assert refused.status == 400
    assert refused.is_last


def test_a_handshake_that_websockets_does_not_take_is_refused() -> None:
    with on_the_web(Speaks()) as web:
        client = web.client()
        refused = client.ask(HANDSHAKE + b"a b: 1\r\n\r\n")

        assert refused.status == 400
        assert client.is_closed()


def test_a_handshake_before_other_requests_are_answered_is_refused() -> None:
    request = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n"
    with on_the_web(Speaks()) as web:
        client = web.client()
        client.send(request + HANDSHAKE + b"\r\n")

        assert client.answer().status == 200
        assert client.answer().status == 400


def test_a_connection_follows_a_request_that_is_answered() -> None:
    with on_the_web(Speaks()) as web:
        client = web.client()
        assert client.ask(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").status == 200
        assert client.ask(HANDSHAKE + b"\r\n").status == 101


def connection_in(web: Web) -> LimitedSocket:
    [connection] = [
        one for one in web.server.server_state.connections if isinstance(one, LimitedSocket)
    ]
    return connection


def test_a_quiet_connection_is_closed_once_and_a_busy_one_is_not() -> None:
    with on_the_web(Speaks()) as web, talk(web) as socket:
        socket.send("busy")
        socket.recv()
        connection = connection_in(web)
        connection.loop.call_soon_threadsafe(connection.shutdown)
        socket.send("quiet")
        assert socket.recv() == "quiet"
        for _ in range(2):
            connection.loop.call_soon_threadsafe(connection.shutdown)

        with pytest.raises(ConnectionClosed) as ended:
            socket.recv()
        assert ended.value.rcvd is not None
        assert ended.value.rcvd.code == 1012
        until(lambda: not web.server.server_state.connections)


def test_a_client_that_takes_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limited_socket, "CLOSE_SECONDS", 0.1)
    with on_the_web(Speaks(), ws_ping_interval=0.2, ws_ping_timeout=0.2) as web:
        client = web.client()
        client.send(HANDSHAKE + b"\r\n")
        client.answer()
        client.send(b"\x81\x85\0\0\0\0flood")

        until(lambda: bool(web.server.server_state.connections))
        until(lambda: not web.server.server_state.connections)
        until(lambda: not web.server.server_state.tasks)
        with suppress(OSError):
            client.socket.close()
