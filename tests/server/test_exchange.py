"""What an application says is what its client gets, byte by byte."""

import logging
import threading
from collections.abc import Callable
from typing import Any

import anyio.to_thread
import pytest
from starlette.types import Receive, Scope, Send

from server.raw_http import Answer, Client, on_the_web

GET = b"GET /a%20b?c=d HTTP/1.1\r\nhost: x\r\n\r\n"
HEAD = b"HEAD / HTTP/1.1\r\nhost: x\r\n\r\n"
Headers = list[tuple[bytes, bytes]]


def saying(*messages: dict[str, Any]) -> Callable[..., Any]:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for message in messages:
            await send(message)

    return app


def start(headers: Headers | None = None, *, status: int = 200) -> dict[str, Any]:
    return {"type": "http.response.start", "status": status, "headers": headers or []}


def body(data: bytes = b"", *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": data, "more_body": more}


def sized(size: int) -> Headers:
    return [(b"content-length", str(size).encode())]


def all_of(client: Client) -> bytes:
    said = b""
    while data := client.socket.recv(65536):
        said += data
    return said


def said_to(request: bytes, *messages: dict[str, Any]) -> bytes:
    """All that a client gets over a connection that is closed after the answer."""
    with on_the_web(saying(*messages)) as web:
        client = web.client()
        client.send(request.replace(b"host: x", b"host: x\r\nconnection: close"))
        return all_of(client)


def lines_of(said: bytes) -> list[bytes]:
    return said.partition(b"\r\n\r\n")[0].split(b"\r\n")


def test_an_answer_of_a_known_length_is_written_as_it_is() -> None:
    said = said_to(GET, start([*sized(4), (b"X-Own", b"1")]), body(b"ab", more=True), body(b"cd"))
    assert said.startswith(b"HTTP/1.1 200 OK\r\n")
    assert {b"content-length: 4", b"x-own: 1", b"connection: close"} <= set(lines_of(said))
    assert any(line.startswith(b"date: ") for line in lines_of(said))
    assert said.endswith(b"\r\n\r\nabcd")


def test_an_answer_of_unknown_length_comes_in_chunks() -> None:
    pieces = [body(b"a" * 17, more=True), body(more=True), body(b"b", more=True), body()]
    said = said_to(GET, start(), *pieces)
    assert b"transfer-encoding: chunked" in lines_of(said)
    assert said.endswith(b"\r\n\r\n11\r\n" + b"a" * 17 + b"\r\n1\r\nb\r\n0\r\n\r\n")


@pytest.mark.parametrize("headers", [[], [(b"Transfer-Encoding", b"Chunked")]])
def test_chunks_are_announced_once(headers: Headers) -> None:
    said = said_to(GET, start(headers), body(b"a"))
    assert said.lower().count(b"transfer-encoding: chunked") == 1
    assert said.endswith(b"1\r\na\r\n0\r\n\r\n")


@pytest.mark.parametrize("request_", [GET, HEAD])
@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_without_a_body_has_none(request_: bytes, status: int) -> None:
    said = said_to(request_, start(status=status), body())
    assert b"transfer-encoding: chunked" not in said
    assert said.endswith(b"\r\n\r\n")


def test_whoever_asks_for_the_head_gets_no_body() -> None:
    said = said_to(HEAD, start(sized(3)), body(b"abc"))
    assert b"content-length: 3" in lines_of(said)
    assert said.endswith(b"\r\n\r\n")


def test_a_length_that_chunks_contradict_is_the_applications_fault() -> None:
    headers = [(b"transfer-encoding", b"chunked"), *sized(3)]
    assert said_to(GET, start(headers), body(b"abcde")).endswith(b"5\r\nabcde\r\n0\r\n\r\n")
    assert said_to(GET, start([*sized(1), (b"transfer-encoding", b"gzip")]), body(b"a")).endswith(
        b"\r\n\r\na"
    )


def test_nothing_is_said_to_a_client_that_has_left() -> None:
    has_left, has_answered = threading.Event(), threading.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        has_left.set()
        await send(start())
        await send(body(b"a"))
        has_answered.set()

    with on_the_web(app) as web:
        client = web.client()
        client.send(GET)
        client.socket.close()
        assert has_left.wait(5)
        assert has_answered.wait(5)


@pytest.mark.parametrize("value", [b"close", b"upgrade, Close"])
def test_an_application_may_have_the_connection_closed(value: bytes) -> None:
    app = saying(start([*sized(1), (b"connection", value)]), body(b"a"))
    with on_the_web(app) as web:
        client = web.client()
        answered = client.ask(GET)
        assert answered.body == b"a"
        assert answered.head.count(b"connection: ") == 1
        assert client.is_closed()


def test_what_else_is_said_of_the_connection_does_not_close_it() -> None:
    app = saying(start([*sized(1), (b"connection", b"keep-alive")]), body(b"a"))
    with on_the_web(app) as web:
        client = web.client()
        assert client.ask(GET).body == client.ask(GET).body == b"a"


def test_a_head_does_not_wait_for_its_body() -> None:
    may_go_on = threading.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        await anyio.to_thread.run_sync(may_go_on.wait)
        await send(body(b"late"))

    with on_the_web(app) as web:
        client = web.client()
        client.send(GET)
        came = client.has_answer_within(5)
        may_go_on.set()
        assert came
        assert client.answer().status == 200


@pytest.mark.parametrize(
    ("messages", "why"),
    [
        ([body(b"a")], "'http.response.body' in place of 'http.response.start'"),
        ([start(), start()], "'http.response.start' in place of 'http.response.body'"),
        ([start(sized(1)), body(b"a"), body(b"a")], "'http.response.body' after response already"),
        ([start(sized(1)), body(b"ab")], "longer than Content-Length"),
        ([start(sized(3)), body(b"ab")], "shorter than Content-Length"),
        ([start([(b"a b", b"")])], "Invalid HTTP header name"),
        ([start([(b"", b"")])], "Invalid HTTP header name"),
        ([start([(b"a", b"1\r\nb: 2")])], "Invalid HTTP header value"),
        ([start([(b"a", b"\x00")])], "Invalid HTTP header value"),
        ([start()], "returned without completing response"),
        ([], "returned without completing response"),
    ],
)
def test_what_an_application_does_wrong_is_in_the_log_and_ends_the_connection(
    messages: list[dict[str, Any]], why: str, caplog: pytest.LogCaptureFixture
) -> None:
    with on_the_web(saying(*messages)) as web:
        client = web.client()
        client.send(GET)
        said = all_of(client)
    (failed,) = [one for one in caplog.records if one.levelno >= logging.ERROR]
    assert why in (str(failed.exc_info[1]) if failed.exc_info else failed.getMessage())
    assert b"b: 2" not in said
    if not messages or messages[0]["type"] == "http.response.body":
        assert said.startswith(b"HTTP/1.1 500 ")
        assert said.endswith(b"Internal Server Error")


def test_what_was_said_before_a_failure_is_sent() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start([*sized(4), (b"x-own", b"1")]))
        raise ValueError

    with on_the_web(app) as web:
        client = web.client()
        client.send(GET)
        assert b"x-own: 1" in all_of(client)


def test_only_so_many_names_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hayserve.server.exchange._MOST_NAMES_KNOWN", 0)
    assert b"x-never-seen: 1" in said_to(GET, start([(b"X-Never-Seen", b"1"), *sized(0)]), body())


@pytest.mark.parametrize(
    ("target", "logged"),
    [
        (b"/a%20b?c=d", "/a%20b"),  # what follows the path is a payload, or a key in a wrong place
        (b"/a", "/a"),
    ],
)
def test_each_answer_is_a_line_of_log(
    target: bytes, logged: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="uvicorn.access")
    with on_the_web(saying(start(sized(1)), body(b"a")), access_log=True) as web:
        client = web.client()
        answered: Answer = client.ask(GET.replace(b"/a%20b?c=d", target))
        port = client.socket.getsockname()[1]
    assert answered.status == 200
    lines = [one.getMessage() for one in caplog.records if one.name == "uvicorn.access"]
    assert lines == [f'127.0.0.1:{port} - "GET {logged} HTTP/1.1" 200']


def test_an_older_client_is_not_kept() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        version = str(scope["http_version"]).encode()
        await send(start(sized(len(version))))
        await send(body(version))

    with on_the_web(app) as web:
        client = web.client()
        client.send(GET.replace(b"HTTP/1.1", b"HTTP/1.0"))
        said = all_of(client)
    assert b"connection: close" in said
    assert said.endswith(b"\r\n\r\n1.0")


def test_what_comes_of_a_body_after_its_answer_is_thrown_away() -> None:
    with on_the_web(saying(start(sized(1)), body(b"a"))) as web:
        client = web.client()
        client.send(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\nab")
        assert client.answer().body == b"a"
        client.send(b"cd")
        assert client.is_closed()


def test_who_takes_nothing_holds_the_application_up() -> None:
    sent: list[int] = []
    has_left = threading.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        for number in range(1000):
            sent.append(number)
            await send(body(b"a" * 100_000, more=True))
        has_left.set()

    with on_the_web(app) as web:
        client = web.client()
        client.send(GET)
        assert not has_left.wait(1)
        assert len(sent) < 1000
        client.socket.close()
        assert has_left.wait(5)
