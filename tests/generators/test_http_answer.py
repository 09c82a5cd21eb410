"""Requests as bytes, and answers out of bytes."""

import httpx2
import pytest

from hayserve.generators.http_answer import Answer, bytes_of


def test_a_request_is_written_with_its_headers_and_body() -> None:
    request = httpx2.Request("POST", "http://hay/a%20b?c=d", content=b"body", headers={"X-Y": "z"})

    assert bytes_of(request) == (
        b"POST /a%20b?c=d HTTP/1.1\r\nHost: hay\r\nX-Y: z\r\nContent-Length: 4\r\n\r\nbody"
    )


@pytest.mark.parametrize("value", ["a\nb", "a\rb", "a\0b"])
def test_a_header_cannot_bring_another_one(value: str) -> None:
    with pytest.raises(httpx2.LocalProtocolError, match="'x-y'"):
        bytes_of(httpx2.Request("GET", "http://hay/", headers={"x-y": value}))


def test_what_comes_before_the_answer_is_passed_over() -> None:
    answer = Answer()

    answer.feed(b"HTTP/1.1 100 Continue\r\nX: 1\r\n\r\n")
    assert not answer.begun
    answer.feed(b"HTTP/1.1 103 Early Hints\r\nContent-Length: 9\r\n\r\n")
    answer.feed(b"HTTP/1.1 200 Fine\r\nY: 2\r\nContent-Length: 3\r\n\r\nhay")

    assert (answer.status, answer.reason, answer.headers[0]) == (200, b"Fine", (b"Y", b"2"))
    assert answer.take() == b"hay"
    assert answer.complete
    assert answer.reusable


def test_pieces_are_taken_together() -> None:
    answer = Answer()
    answer.feed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhay\r\n5\r\nstack\r\n")

    assert answer.waiting == 8
    assert answer.take() == b"haystack"
    assert answer.take() == b""
    answer.feed(b"0\r\nTrailer: 1\r\n\r\n")

    assert answer.complete
    assert len(answer.headers) == 1


def test_a_connection_that_is_to_be_closed_is_not_used_again() -> None:
    answer = Answer()
    answer.feed(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")

    assert answer.complete
    assert not answer.reusable
    answer.end()


@pytest.mark.parametrize("received", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nha"])
def test_an_answer_that_ends_too_early_is_none(received: bytes) -> None:
    answer = Answer()
    answer.feed(received)

    with pytest.raises(httpx2.RemoteProtocolError, match="closed"):
        answer.end()


@pytest.mark.parametrize(
    "received", [b"hello\r\n\r\n", b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"]
)
def test_another_protocol_is_not_spoken(received: bytes) -> None:
    with pytest.raises(httpx2.RemoteProtocolError):
        Answer().feed(received)


def test_a_second_answer_is_passed_over() -> None:
    answer = Answer()
    answer.feed(b"HTTP/1.1 200 Fine\r\nContent-Length: 3\r\n\r\nhay")
    answer.feed(b"HTTP/1.1 500 Bad\r\nX: 1\r\nContent-Length: 3\r\n\r\nrye")

    assert (answer.status, answer.reason, len(answer.headers)) == (200, b"Fine", 1)
    assert answer.take() == b"hay"
    assert not answer.reusable
