import asyncio
import logging
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import anyio
import pytest
from starlette.types import Message, Receive, Scope, Send

from hayserve.protocols.body import EXTENSION
from hayserve.server import http_protocol
from server.raw_http import Client, Echo, Web, answer, on_the_web

GET = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"


def post(body: bytes, *, size: int | None = None, path: str = "/") -> bytes:
    stated = len(body) if size is None else size
    return f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {stated}\r\n\r\n".encode() + body


@pytest.fixture
def echo() -> Echo:
    return Echo()


@pytest.fixture
def web(echo: Echo) -> Iterator[Web]:
    with on_the_web(echo) as web:
        yield web


def drip(client: Client, data: bytes) -> None:
    """Send one byte after the other, slowly, until the server says something or has left."""
    with suppress(OSError, EOFError):
        for byte in data:
            client.send(bytes([byte]))
            if client.has_answer_within(0.02):
                return


# What is as it should be


def test_requests_over_one_connection_are_answered_in_turn(web: Web) -> None:
    client = web.client()

    assert client.ask(GET).json == {"path": "/", "body": "", "headers": ["host"]}
    assert client.ask(post(b"abc")).json["body"] == "abc"
    assert not client.ask(GET).is_last


def test_requests_that_come_at_once_are_answered_in_order(web: Web) -> None:
    client = web.client()
    client.send(b"".join(post(b"x", path=f"/{number}") for number in range(50)))

    assert [client.answer().json["path"] for _ in range(50)] == [f"/{n}" for n in range(50)]
    assert client.ask(GET).status == 200


def test_a_body_that_comes_in_pieces_leaves_the_connection_open(web: Web) -> None:
    client = web.client()
    for data in (post(b"", size=6), b"abc", b"def"):
        assert not client.has_answer_within(0.02)
        client.send(data)

    answered = client.answer()

    assert (answered.json["body"], answered.is_last) == ("abcdef", False)
    assert client.ask(GET).status == 200


def test_a_request_that_begins_with_the_end_of_another_is_answered(web: Web) -> None:
    client = web.client()
    for data in (post(b"ab", size=3), b"c" + GET[:5], GET[5:] + post(b"de", size=4), b"fg"):
        client.send(data)
        client.has_answer_within(0.02)

    bodies = [client.answer().json["body"] for _ in range(3)]

    assert bodies == ["abc", "", "defg"]


def test_a_large_body_is_read_as_fast_as_the_application_takes_it(web: Web) -> None:
    assert len(web.ask(post(b"x" * 900_000)).json["body"]) == 900_000


def test_who_expects_to_be_asked_for_the_body_is_asked(web: Web) -> None:
    client = web.client()
    client.send(post(b"", size=3).replace(b"host", b"expect: 100-continue\r\nhost"))

    assert client.answer().status == 100
    assert client.ask(b"abc").json["body"] == "abc"


# Headers


def test_headers_without_an_end_are_refused_as_soon_as_they_are_too_large(echo: Echo) -> None:
    with on_the_web(echo, header_bytes=100_000) as web:
        client = web.client()
        client.send(b"GET / HTTP/1.1\r\nx-flood: ")
        sent = 0
        with suppress(ConnectionError):
            while sent < 10_000_000 and not client.has_answer_within(0.001):
                client.send(b"x" * 10_000)
                sent += 10_000

        refused = client.answer()

    assert refused.status == 431
    assert refused.json == {
        "detail": "The headers are larger than 97.6562 KB, or more than 256.",
        "hint": "Send less of them.",
        "code": "too_large",
    }
    assert refused.is_last
    assert sent < 2_000_000


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(b"GET / HTTP/1.1\r\nhost: x\r\nbig: " + b"x" * 9000 + b"\r\n\r\n", id="value"),
        pytest.param(b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nhost: x\r\n\r\n", id="target"),
        pytest.param(b"GET /" + b"x" * 9000, id="half a target"),
        pytest.param(b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 300 + b"\r\n", id="many"),
        pytest.param(b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 300, id="many and more to come"),
    ],
)
def test_headers_that_are_too_large_or_too_many_are_refused(web: Web, request_: bytes) -> None:
    refused = web.ask(request_)

    assert (refused.status, refused.json["code"]) == (431, "too_large")


def test_each_of_many_requests_has_the_limit_for_itself(web: Web) -> None:
    client = web.client()
    large = b"GET / HTTP/1.1\r\nbig: " + b"x" * 5000 + b"\r\n\r\n"
    client.send(post(b"y" * 7000) + large * 3 + large[:3000])
    assert [client.answer().status for _ in range(4)] == [200] * 4

    assert client.ask(large[3000:]).status == 200


def test_headers_that_come_a_byte_at_a_time_are_given_up() -> None:
    with on_the_web(Echo(), header_seconds=0.3) as web:
        client = web.client()
        drip(client, GET[:-4] + b"x" * 1000)

        late = client.answer()

        assert (late.status, late.json["code"], late.is_last) == (408, "request_timeout", True)
        assert client.is_closed()


def test_a_second_request_has_its_own_time(echo: Echo) -> None:
    with on_the_web(echo, header_seconds=0.3) as web:
        client = web.client()
        assert client.ask(GET).status == 200
        drip(client, GET[:-4] + b"x" * 1000)

        assert client.answer().status == 408


def test_a_connection_over_which_nothing_comes_is_closed(echo: Echo) -> None:
    with on_the_web(echo, header_seconds=0.1) as web:
        silent = web.client()
        empty_lines = web.client()
        empty_lines.send(b"\r\n\r\n")

        assert silent.is_closed()
        assert empty_lines.is_closed()


def test_empty_lines_do_not_keep_a_connection_open(echo: Echo) -> None:
    with on_the_web(echo, timeout_keep_alive=1) as web:
        client = web.client()
        assert client.ask(GET).status == 200
        drip(client, b"\r\n" * 300)

        assert client.is_closed()


def test_an_answer_may_take_longer_than_headers_may() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await anyio.sleep(0.3)
        await answer(send, "done")

    with on_the_web(app, header_seconds=0.1) as web:
        assert web.ask(GET).json == "done"


# What is no HTTP


@pytest.mark.parametrize(
    "lines",
    [
        b"POST / HTTP/1.1\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd",
        b"POST / HTTP/1.1\r\ncontent-length: 3, 3\r\n\r\nabc",
        b"POST / HTTP/1.1\r\ncontent-length: +3\r\n\r\nabc",
        b"POST / HTTP/1.1\r\ncontent-length : 3\r\n\r\nabc",
        b"POST / HTTP/1.1\r\ncontent-length: 99999999999999999999\r\n\r\nabc",
        b"POST / HTTP/1.1\r\ntransfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\ntransfer-encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\ntransfer-encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\na: 1\r\n folded\r\n\r\n",
        b"GET / HTTP/1.1\r\n a: 1\r\n\r\n",
        b"GET / HTTP/1.1\nhost: x\n\n",
        b"GET / HTTP/1.1\r\nhost: x\nb: 1\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: x\rb: 1\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: x\x00y\r\n\r\n",
        b"GET / HTTP/1.1\r\na b: c\r\n\r\n",
        b"GET /a b HTTP/1.1\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\n\r\n",
        b"GET http://x HTTP/1.1\r\n\r\n",
        b"CONNECT a:443 HTTP/1.1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
)
def test_what_is_no_request_is_refused_and_nothing_after_it_is_read(
    web: Web, echo: Echo, lines: bytes
) -> None:
    client = web.client()
    client.send(lines + GET)

    refused = client.answer()

    assert (refused.status, refused.json["code"]) == (400, "invalid_request")
    assert refused.json["detail"].startswith("The request is not HTTP/1.1: ")
    assert b"content-type: application/json" in refused.head
    assert refused.is_last
    assert client.is_closed()
    assert echo.bodies == []


def test_what_was_asked_before_is_answered_first(web: Web) -> None:
    client = web.client()
    client.send(GET + post(b"abc") + b"garbage\r\n\r\n" + GET)

    assert [client.answer().status for _ in range(3)] == [200, 200, 400]
    assert client.is_closed()


def test_nothing_is_said_after_an_answer_that_was_asked_to_be_the_last(web: Web) -> None:
    client = web.client()
    client.send(GET + GET.replace(b"host", b"connection: close\r\nhost") + b"garbage\r\n\r\n")

    assert [client.answer().status for _ in range(2)] == [200, 200]
    assert client.is_closed()


def test_too_many_requests_at_once_are_refused_after_the_others(web: Web) -> None:
    client = web.client()
    client.send(GET * 1000)

    answers = [client.answer() for _ in range(102)]

    assert [answer.status for answer in answers] == [200] * 101 + [429]
    assert answers[-1].json["code"] == "too_busy"
    assert client.is_closed()


def test_a_refusal_is_in_the_log(web: Web, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "hayserve.server")

    web.ask(b"garbage\r\n\r\n")

    (record,) = [record for record in caplog.records if record.message == "request_refused"]
    assert vars(record)["status"] == 400


# Bodies


def test_a_body_that_is_no_body_is_refused_and_its_reader_told(web: Web, echo: Echo) -> None:
    client = web.client()
    client.send(CHUNKED + b"3\r\nabc\r\n")
    assert not client.has_answer_within(0.02)

    assert client.ask(b"no size\r\n").status == 400
    assert echo.saw_client_leave.wait(5)


def test_a_bad_body_behind_another_request_is_never_read(web: Web, echo: Echo) -> None:
    client = web.client()
    client.send(GET + CHUNKED + b"no size\r\n")

    assert [client.answer().status for _ in range(2)] == [200, 400]
    assert echo.bodies == [b""]


def test_an_answer_that_has_begun_is_cut_off_by_a_bad_body() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-length", b"10")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"abc", "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass

    with on_the_web(app) as web:
        client = web.client()
        client.send(CHUNKED)
        assert client.has_answer_within(5)
        client.send(b"no size\r\n")

        with pytest.raises((EOFError, ConnectionResetError)):
            client.answer()


def test_what_comes_after_a_chunked_body_is_not_taken_for_headers(web: Web) -> None:
    client = web.client()
    client.send(CHUNKED + b"1\r\nx\r\n0\r\nauthorization: no\r\n\r\n" + GET)

    assert client.answer().json["headers"] == ["host", "transfer-encoding"]
    assert client.answer().json["headers"] == ["host"]


def test_what_comes_after_a_chunked_body_is_limited(web: Web) -> None:
    client = web.client()
    client.send(CHUNKED + b"1\r\nx\r\n0\r\nx-flood: ")
    with suppress(ConnectionError):
        for _ in range(1000):
            if client.has_answer_within(0.001):
                break
            client.send(b"x" * 5000)

    assert client.answer().status == 431


def test_a_body_that_stalls_is_told_to_its_reader() -> None:
    with on_the_web(Echo(pause=0.1)) as web:
        client = web.client()
        client.send(post(b"abc", size=100))

        late = client.answer()

    assert (late.json["code"], late.is_last) == ("request_timeout", True)


def test_a_deployment_may_be_more_patient_than_the_server() -> None:
    with on_the_web(Echo(pause=30), body_seconds=0.1) as web:
        client = web.client()
        client.send(post(b"abc", size=6))
        assert not client.has_answer_within(0.3)

        assert client.ask(b"def").json["body"] == "abcdef"


def test_every_piece_of_a_body_has_the_time_again() -> None:
    with on_the_web(Echo(pause=0.3)) as web:
        client = web.client()
        client.send(post(b"", size=20))
        drip(client, b"x" * 20)

        assert client.answer().json["body"] == "x" * 20


def test_a_body_that_stalls_is_dropped_if_its_reader_does_not_look_at_the_clock() -> None:
    left = threading.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        left.set()

    with on_the_web(app, body_seconds=0.1) as web:
        client = web.client()
        client.send(post(b"abc", size=100))

        assert client.is_closed()
        assert left.wait(5)


def test_a_client_is_not_late_while_the_application_does_not_read() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await anyio.sleep(0.4)
        await Echo(limit=3_000_000)(scope, receive, send)

    with on_the_web(app, body_seconds=0.1) as web:
        asks_first = web.client()
        asks_first.send(post(b"", size=3).replace(b"host", b"expect: 100-continue\r\nhost"))
        sends_much = web.client()
        sends_much.send(post(b"x" * 100_000, size=100_001))
        much_behind = web.client()
        much_behind.send(GET + GET + GET[:5])

        assert asks_first.answer().status == 100
        assert asks_first.ask(b"abc").json["body"] == "abc"
        assert len(sends_much.ask(b"x").json["body"]) == 100_001
        assert [much_behind.answer().status for _ in range(2)] == [200, 200]


def test_a_late_head_behind_requests_under_way_is_the_clients_only_when_they_are_read() -> None:
    may_answer = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/go":
            may_answer.set()
        else:
            await may_answer.wait()
        await answer(send, "done")

    with on_the_web(app, header_seconds=0.1) as web:
        client = web.client()
        client.send(GET + GET + GET[:5])
        assert not client.has_answer_within(0.4)
        assert web.ask(GET.replace(b"/ ", b"/go ")).status == 200

        assert [client.answer().status for _ in range(3)] == [200, 200, 408]


# Answers that come before their requests are there


@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_client_that_still_sends_can_read_the_answer(is_chunked: bool) -> None:
    with on_the_web(Echo(limit=1000)) as web:
        client = web.client()
        client.send(CHUNKED + b"1312d00\r\n" if is_chunked else post(b"", size=20_000_000))
        for _ in range(200):
            client.send(b"x" * 100_000)

        refused = client.answer()

        assert (refused.status, refused.json, refused.is_last) == (413, {"code": "too_large"}, True)
        assert client.is_closed()


def test_who_expects_to_be_asked_for_a_body_that_is_too_large_is_not_asked() -> None:
    with on_the_web(Echo(limit=2)) as web:
        request = post(b"", size=3).replace(b"host", b"expect: 100-continue\r\nhost")

        assert web.ask(request).status == 413


def test_a_body_that_was_all_there_leaves_the_connection_open() -> None:
    with on_the_web(Echo(limit=2)) as web:
        client = web.client()

        assert [client.ask(post(b"abc")).status for _ in range(2)] == [413, 413]


def test_a_client_that_does_not_end_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol, "LINGER_SECONDS", 0.2)
    with on_the_web(Echo(limit=1000)) as web:
        client = web.client()
        assert client.ask(post(b"", size=2000)).status == 413
        assert client.is_closed()  # for what the server has to say

        with pytest.raises(ConnectionError):
            send_on(client)


def send_on(client: Client) -> None:
    """Send a byte now and then, for ten seconds."""
    for _ in range(1000):
        client.send(b"x")
        threading.Event().wait(0.01)


def test_a_client_that_sends_too_much_after_its_answer_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http_protocol, "LINGER_BYTES", 1_000_000)
    with on_the_web(Echo(limit=1000)) as web:
        client = web.client()
        assert client.ask(post(b"", size=200_000_000)).status == 413

        with pytest.raises(ConnectionError):
            client.send(b"x" * 200_000_000)


def test_a_body_that_ends_after_the_answer_has_begun_ends_the_connection_too() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-length", b"4")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.body", "body": b"done"})

    with on_the_web(app) as web:
        client = web.client()
        client.send(post(b"a", size=2))
        assert client.has_answer_within(5)

        answered = client.ask(b"b")

        assert (answered.body, answered.is_last) == (b"done", True)
        assert client.is_closed()


def test_a_connection_that_is_shut_down_while_a_body_comes_ends_with_its_answer() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        connection: Any = scope["extensions"][EXTENSION]
        connection.shutdown()
        await Echo()(scope, receive, send)

    with on_the_web(app) as web:
        client = web.client()
        client.send(post(b"a", size=2))
        assert not client.has_answer_within(0.02)

        answered = client.ask(b"b")

        assert (answered.json["body"], answered.is_last) == ("ab", True)
        assert client.is_closed()


# Clients that leave


def test_everybody_is_told_when_the_client_of_several_requests_leaves() -> None:
    is_under_way, has_left = threading.Event(), threading.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        message: Message = {"type": ""}
        while message["type"] != "http.disconnect":
            message = await receive()
            is_under_way.set()
        has_left.set()

    with on_the_web(app) as web:
        client = web.client()
        client.send(GET + GET)
        assert is_under_way.wait(5)
        client.socket.close()

        assert has_left.wait(5)


def test_a_client_may_leave_at_any_point(web: Web) -> None:
    whole = post(b"abc") + GET
    for length in range(0, len(whole), 7):
        client = web.client()
        client.send(whole[:length])
        client.socket.close()

    assert web.ask(GET).status == 200
