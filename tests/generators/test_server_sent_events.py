"""Events out of bytes, whole and in pieces."""

import pytest

from hayserve.generators.server_sent_events import EventSplitter

STREAM = b"""data: 1

: a comment

event: named
data: 2
id: 7

data:3
data:  4
data

\n\ndatabase: none
retry: 100

data: 5
"""
EVENTS = [b"1", b"2", b"3\n 4\n"]


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("size", [1, 2, 3, 5, 1000])
def test_the_data_of_complete_events_is_given(size: int, line_end: bytes) -> None:
    splitter = EventSplitter()
    sent = STREAM.replace(b"\n", line_end)
    pieces = [sent[at : at + size] for at in range(0, len(sent), size)]

    assert [data for piece in pieces for data in splitter.feed(piece)] == EVENTS
    assert splitter.feed(line_end) == [b"5"]


def test_an_empty_piece_changes_nothing() -> None:
    splitter = EventSplitter()

    assert splitter.feed(b"data: 1\r") == []
    assert splitter.feed(b"") == []
    assert splitter.feed(b"\n\r") == [b"1"]
    assert splitter.feed(b"\n") == []
