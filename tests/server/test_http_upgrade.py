import asyncio
from typing import Any, cast

import pytest

from server.raw_http import Echo, on_the_web

ASKS_FOR_HTTP2 = (
    b"connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAEAAEAA\r\n"
)
GET = b"GET /next HTTP/1.1\r\nhost: x\r\n\r\n"


class Handshake(asyncio.Protocol):
    """Takes every WebSocket."""

    def __init__(self, **_: Any) -> None: ...

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast(asyncio.Transport, transport).write(
            b"HTTP/1.1 101 Switching Protocols\r\ncontent-length: 0\r\n\r\n"
        )


@pytest.mark.parametrize(
    ("framing", "body"),
    [
        pytest.param(b"content-length: 3\r\n", b"abc", id="length"),
        pytest.param(b"transfer-encoding: chunked\r\n", b"3\r\nabc\r\n0\r\n\r\n", id="chunks"),
    ],
)
@pytest.mark.parametrize("pieces", [1, 2])
def test_the_body_of_a_request_that_would_rather_be_http2_is_read(
    framing: bytes, body: bytes, pieces: int
) -> None:
    request = b"POST / HTTP/1.1\r\nhost: x\r\n" + ASKS_FOR_HTTP2 + framing + b"\r\n"
    with on_the_web(Echo()) as web:
        client = web.client()
        for _ in range(2):
            if pieces == 1:
                client.send(request + body + GET)
            else:
                client.send(request)
                assert not client.has_answer_within(0.02)
                client.send(body + GET)

            answers = [client.answer().json for _ in range(2)]

            assert [answer["body"] for answer in answers] == ["abc", ""]
            assert answers[1] == {"path": "/next", "body": "", "headers": ["host"]}


def test_a_body_is_never_taken_for_the_next_request() -> None:
    echo = Echo()
    with on_the_web(echo) as web:
        framing = b"content-length: %d\r\n\r\n" % len(GET)
        answered = web.ask(b"POST / HTTP/1.1\r\nhost: x\r\n" + ASKS_FOR_HTTP2 + framing + GET)

    assert answered.json["body"] == GET.decode()
    assert echo.bodies == [GET]


def test_a_request_without_a_body_that_would_rather_be_http2_is_answered() -> None:
    with on_the_web(Echo()) as web:
        client = web.client()
        request = b"GET / HTTP/1.1\r\nhost: x\r\n" + ASKS_FOR_HTTP2 + b"\r\n"

        assert client.ask(request).status == 200
        assert client.ask(request + GET).status == 200
        assert client.answer().json["path"] == "/next"


def test_a_websocket_begins() -> None:
    with on_the_web(Echo(), ws=Handshake) as web:
        request = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"

        assert web.ask(request).status == 101


def test_a_websocket_does_not_begin_with_a_body() -> None:
    with on_the_web(Echo(), ws=Handshake) as web:
        refused = web.ask(
            b"GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
            b"content-length: 5\r\n\r\nab"
        )

    assert refused.status == 400
    assert refused.json["detail"] == "A WebSocket does not begin with a body."
