"""A log tells every reader everything, whenever it comes."""

import asyncio
import json
from typing import Any

import pytest

from hayserve.events import STOPPING, BytesDelta, Event, RunCancelled, RunFinished
from hayserve.protocols.openai_responses.log import AsItIs, Log, Reader, split

pytestmark = pytest.mark.anyio

ONE, TWO, THREE = (b"event: e\ndata: %d\n\n" % number for number in range(3))


async def all_of(reader: Reader) -> list[Event]:
    events: list[Event] = []
    while reader.closing is None or reader.channel.has_events:
        events += await reader.channel.receive()
    return events


async def test_a_reader_hears_what_was_and_what_comes() -> None:
    log, reader, late = Log(), Reader(), Reader()
    log.add(ONE + TWO)
    log.read(reader, start=0)
    log.read(late, start=2)
    log.add(THREE)
    log.end()
    said = [BytesDelta(frame) for frame in (ONE, TWO, THREE)]
    assert await all_of(reader) == [*said, RunFinished(None)]
    assert await all_of(late) == [said[2], RunFinished(None)]
    assert b"".join(map(AsItIs().encode, [*said, RunFinished(None)])) == ONE + TWO + THREE


async def test_who_comes_after_the_end_hears_it_all() -> None:
    log, reader = Log(), Reader()
    log.add(ONE)
    log.end()
    log.read(reader, start=0)
    assert await all_of(reader) == [BytesDelta(ONE), RunFinished(None)]


async def test_who_has_left_is_told_nothing_more() -> None:
    left: list[bool] = []
    log, reader = Log(), Reader(lambda: left.append(True))
    log.read(reader, start=0)
    assert reader.cancel("the client left")
    assert not reader.cancel()
    log.add(ONE)
    log.read(reader, start=0)
    log.end()
    assert left == [True]
    assert await all_of(reader) == [RunCancelled("the client left")]


async def test_a_reader_hears_nothing_that_it_has_already() -> None:
    log, reader = Log(), Reader()
    log.add(ONE)
    log.read(reader, start=2)
    log.add(TWO)
    log.add(THREE)
    log.end()
    assert await all_of(reader) == [BytesDelta(THREE), RunFinished(None)]


async def test_a_log_knows_whether_it_is_read() -> None:
    log, reader = Log(), Reader()
    assert not log.is_read
    log.read(reader, start=0)
    assert log.is_read
    reader.cancel("the client left")
    assert not log.is_read


async def test_who_has_left_and_missed_nothing_is_not_read_to() -> None:
    log, reader = Log(), Reader()
    reader.cancel("the client left")
    log.read(reader, start=0)
    log.end()
    assert await all_of(reader) == [RunCancelled("the client left")]


async def test_a_reader_is_said_to_last_at_once() -> None:
    called: list[int] = []
    reader = Reader()
    reader.when_lasting = lambda: called.append(1)
    reader.when_lasting = None
    await asyncio.sleep(0)
    assert called == []
    reader.when_lasting = lambda: called.append(2)
    await asyncio.sleep(0)
    assert called == [2]
    assert reader.when_lasting is None


async def test_events_are_split_where_they_end() -> None:
    assert split(b"") == []
    assert split(ONE + TWO) == [ONE, TWO]


def frame_in(data: bytes) -> tuple[str, dict[str, Any]]:
    event, said = data.decode().removesuffix("\n\n").split("\n")
    return event, json.loads(said.removeprefix("data: "))


def test_a_stream_that_is_broken_off_says_why() -> None:
    body = {"id": "resp_1", "status": "in_progress", "error": None}
    encoder = AsItIs(body, start=4)
    encoder.encode(BytesDelta(ONE))
    event, said = frame_in(encoder.encode(RunCancelled(STOPPING)))
    assert event == "event: response.failed"
    assert (said["type"], said["sequence_number"]) == ("response.failed", 5)
    assert (said["response"]["id"], said["response"]["status"]) == ("resp_1", "failed")
    assert "the server is stopping" in said["response"]["error"]["message"]


def test_a_stream_of_nothing_that_is_known_says_why_too() -> None:
    event, said = frame_in(AsItIs().encode(RunCancelled(STOPPING)))
    assert event == "event: error"
    assert said["sequence_number"] == 0
    assert (said["code"], said["param"]) == ("not_ready", None)
    assert "the server is stopping" in said["message"]
