"""A log tells every reader everything, whenever it comes."""

import asyncio
import json
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from hayserve.errors import StorageUnavailable
from hayserve.events import STOPPING, BytesDelta, Event, RunCancelled, RunFinished
from hayserve.kept.stream_pages import Place, StreamPage
from hayserve.protocols.openai_responses import log as log_module
from hayserve.protocols.openai_responses.log import (
    SHARED_PAGES,
    AsItIs,
    KeptStream,
    Log,
    Reader,
    Rest,
    split,
)
from hayserve.protocols.sse import KEEP_ALIVE

pytestmark = pytest.mark.anyio

ONE, TWO, THREE = (b"event: e\ndata: %d\n\n" % number for number in range(3))


async def all_of(reader: Reader) -> list[Event]:
    events: list[Event] = []
    while not reader.has_ended or reader.channel.has_events:
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


async def test_a_reader_that_does_not_read_is_given_little() -> None:
    log, reader = Log(), Reader()
    large = [b"event: e\ndata: %d %s\n\n" % (number, b"x" * 100_000) for number in range(50)]
    log.read(reader, start=0)
    log.add(b"".join(large))
    assert log.is_behind
    log.end()
    assert reader.closing == RunFinished(None)  # so that it is given up if it takes nothing
    assert not reader.has_ended
    taken = reader.channel.take()
    assert 0 < len(taken) < 5
    assert taken + await all_of(reader) == [*map(BytesDelta, large), RunFinished(None)]


async def test_a_reader_that_leaves_with_much_to_take_is_given_no_more() -> None:
    log, reader = Log(), Reader()
    log.add(ONE + b"x" * 300_000 + TWO + THREE)
    log.read(reader, start=0)
    assert len(reader.channel.take()) == 2
    reader.cancel("the client left")
    assert await all_of(reader) == [RunCancelled("the client left")]


async def test_pages_are_shared_and_the_end_is_looked_at_by_one() -> None:
    pages = {Place(n): StreamPage(b"%d\n\n" % n, Place(n + 1)) for n in range(2 * SHARED_PAGES)}
    asked: list[Place] = []

    async def read(place: Place) -> StreamPage | None:
        asked.append(place)
        await anyio.lowlevel.checkpoint()
        return pages.get(place)

    stream = KeptStream(read)
    end = await stream.grow(Place(0))
    assert end == Place(2 * SHARED_PAGES)
    rests = [Rest(stream, Place(2 * SHARED_PAGES - 2), start=2 * SHARED_PAGES - 1) for _ in "ab"]
    asked.clear()
    async with anyio.create_task_group() as tasks:
        for rest in rests:
            tasks.start_soon(rest.give)
        await anyio.sleep(0.01)
        assert asked == []
        pages[end] = StreamPage(b"new\n\n", Place(end.number + 1))
        await stream.grow(end)
        stream.end()
    assert asked == [end, Place(end.number + 1)]
    said = [BytesDelta(b"%d\n\n" % (2 * SHARED_PAGES - 1)), BytesDelta(b"new\n\n")]
    for rest in rests:
        assert await all_of(rest.reader) == [*said, RunFinished(None)]
    assert not stream.is_read


async def test_who_reads_what_is_kept_is_given_little_until_it_takes_it() -> None:
    asked: list[int] = []

    async def read(place: Place) -> StreamPage | None:
        asked.append(place.number)
        page = StreamPage(b"x" * 100_000 + b"\n\n", Place(place.number + 1))
        return page if place.number < 20 else None

    stream = KeptStream(read)
    stream.end()
    rest = Rest(stream, Place(0), start=0)
    assert rest.reader.closing == RunFinished(None)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(rest.give)
        await anyio.sleep(0.01)
        assert asked == [0, 1, 2]
        assert len(await all_of(rest.reader)) == 21


async def test_an_event_that_is_skipped_may_be_spread_over_pages() -> None:
    pages = [StreamPage(b"large", Place(0, 5)), StreamPage(ONE + TWO, Place(2))]

    async def read(place: Place) -> StreamPage | None:
        return pages.pop(0) if pages else None

    stream = KeptStream(read)
    stream.end()
    rest = Rest(stream, Place(0), start=1)
    await rest.give()
    assert await all_of(rest.reader) == [BytesDelta(TWO), RunFinished(None)]


async def test_news_that_come_while_one_looks_are_not_missed() -> None:
    async def read(place: Place) -> StreamPage | None:
        stream.end()
        return None

    stream = KeptStream(read)
    rest = Rest(stream, Place(0), start=0)
    with anyio.fail_after(5):
        await rest.give()
    assert await all_of(rest.reader) == [RunFinished(None)]


async def test_who_leaves_is_not_read_for() -> None:
    async def read(place: Place) -> StreamPage | None:
        return None

    stream = KeptStream(read)
    rest = Rest(stream, Place(0), start=0)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(rest.give)
        await anyio.lowlevel.checkpoint()
        rest.reader.cancel("the client left")
    assert not stream.is_read


async def test_a_database_that_is_gone_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_module, "RETRY_SECONDS", 0.01)
    found: list[StreamPage | None] = [StreamPage(ONE, Place(1)), None]
    outages = [True]

    async def read(place: Place) -> StreamPage | None:
        if outages:
            outages.pop()
            raise StorageUnavailable("It is gone.")
        return found[place.number]

    stream = KeptStream(read)
    stream.end()
    rest = Rest(stream, Place(0), start=0)
    await rest.give()
    assert await all_of(rest.reader) == [BytesDelta(ONE), RunFinished(None)]


async def test_a_connection_is_kept_alive_while_nothing_new_is_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(log_module, "KEEP_ALIVE_SECONDS", 0.02)

    async def read(place: Place) -> StreamPage | None:
        return None

    stream = KeptStream(read)
    rest = Rest(stream, Place(0), start=0)
    events: list[Event] = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(rest.give)
        events += await rest.reader.channel.receive()
        stream.end()
    assert events == [BytesDelta(KEEP_ALIVE)]
    encoder = AsItIs(start=3)
    assert encoder.encode(events[0]) == KEEP_ALIVE
    assert not encoder.is_within
    assert b'"sequence_number":3' in encoder.encode(RunCancelled(STOPPING))
