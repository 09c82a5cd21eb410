"""What the load client reads of answers."""

import pytest

from benchmarks.answers import AnswerReader

PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nwort wort "
EVENTS = (
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    b'10\r\ndata: {"wort "}\n\n\r\n10\r\ndata: {"wort "}\n\n\r\ne\r\ndata: [DONE]\n\n\r\n0\r\n\r\n'
)


def reader() -> AnswerReader:
    return AnswerReader(b"wort ", b"[DONE]")


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_an_answer_with_a_length_is_read_however_it_arrives(size: int) -> None:
    answer = reader()
    tokens, ends = zip(
        *(answer.feed(PLAIN[at : at + size]) for at in range(0, len(PLAIN), size)), strict=True
    )

    assert answer.status == 200
    assert sum(tokens) == answer.tokens.seen == 2
    assert [*ends][-1]
    assert not any([*ends][:-1])


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 11, 64, 1000])
def test_a_stream_of_chunks_is_read_however_it_arrives(size: int) -> None:
    answer = reader()
    pieces = [EVENTS[at : at + size] for at in range(0, len(EVENTS), size)]
    ends = [answer.feed(piece)[1] for piece in pieces]

    assert ends == [False] * (len(pieces) - 1) + [True]
    assert answer.tokens.seen == 2
    assert answer.frames.seen == 3
    assert answer.endings.seen == 1


def test_an_empty_stream_has_an_end() -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

    assert reader().feed(head + b"0\r\n\r\n") == (0, True)


def test_an_answer_without_a_length_lasts_until_the_connection_is_closed() -> None:
    assert reader().feed(b"HTTP/1.1 200 OK\r\n\r\nwort ") == (1, False)


def test_the_next_answer_is_counted_anew() -> None:
    answer = reader()
    answer.feed(PLAIN)
    answer.begin()
    answer.feed(b"HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n")

    assert answer.status == 500
    assert answer.tokens.seen == 0
