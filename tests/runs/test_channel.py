"""How events get from the code that makes them to the one that sends them on."""

import asyncio
import threading

import anyio
import anyio.to_thread
import pytest

from hayserve.events import (
    BytesDelta,
    ClientEvent,
    Event,
    ModelFinished,
    ReadyMade,
    ReasoningDelta,
    RunCancelled,
    RunFinished,
    TextDelta,
    ToolCallDelta,
    ToolFinished,
    ToolStarted,
)
from hayserve.runs.channel import TURN_SECONDS, Channel, ChannelClosed, Waker
from hayserve.wrappers.own_loop import OwnLoop
from runs.running import quiet

HALF = "x" * 500


def texts(events: list[Event]) -> list[str]:
    return [event.text for event in events if isinstance(event, TextDelta)]


@pytest.mark.anyio
async def test_all_waiting_events_are_received_at_once_in_order() -> None:
    channel = Channel()
    for text in "abc":
        channel.emit(TextDelta(text))
    assert texts(await channel.receive()) == ["a", "b", "c"]


@pytest.mark.anyio
async def test_a_reader_waits_for_the_first_event() -> None:
    channel = Channel()
    got: list[str] = []

    async def read() -> None:
        got.extend(texts(await channel.receive()))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read)
        await anyio.wait_all_tasks_blocked()
        assert got == []
        channel.emit(TextDelta("a"))
    assert got == ["a"]


@pytest.mark.anyio
async def test_nothing_is_lost_between_threads_and_the_reader() -> None:
    channel = Channel(capacity=10_000)
    got: list[str] = []

    def write(name: str) -> None:
        for number in range(2000):
            channel.emit(TextDelta(f"{name}{number}"))

    async with anyio.create_task_group() as tasks:
        for name in "ab":
            tasks.start_soon(anyio.to_thread.run_sync, write, name)
        while len(got) < 4000:
            got += texts(await channel.receive())
    for name in "ab":
        assert [text for text in got if text[0] == name] == [f"{name}{n}" for n in range(2000)]


@pytest.mark.anyio
async def test_a_thread_waits_while_the_channel_is_full() -> None:
    channel = Channel(capacity=1000)
    written: list[int] = []
    full = threading.Event()

    def write() -> None:
        for number in range(10):
            if number == 2:
                full.set()
            channel.emit(TextDelta(HALF))
            written.append(number)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(anyio.to_thread.run_sync, write)
        await anyio.to_thread.run_sync(full.wait)
        received = 0
        while received < 10:
            assert len(written) <= received + 2
            received += len(await channel.receive())
    assert len(written) == 10


@pytest.mark.anyio
async def test_async_writers_wait_for_room() -> None:
    channel = Channel(capacity=1000)
    written: list[int] = []

    async def write() -> None:
        for number in range(6):
            channel.emit(TextDelta(HALF))
            await channel.room()
            written.append(number)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(write)
        await anyio.wait_all_tasks_blocked()
        assert written == [0]
        assert len(await channel.receive()) == 2
        await anyio.wait_all_tasks_blocked()
        assert written == [0, 1, 2]
        await channel.receive()
        await channel.receive()
    assert written == [0, 1, 2, 3, 4, 5]


@pytest.mark.anyio
@pytest.mark.parametrize(
    "event",
    [
        TextDelta("x" * 900),
        ReasoningDelta("x" * 900),
        BytesDelta(b"x" * 900),
        ToolFinished("1", "t", "x" * 900),
        ToolStarted("1", "t", {"a": "x" * 900}),
        ToolCallDelta(0, arguments="x" * 900),
        ClientEvent("source", {"a": "x" * 900}),
        ReadyMade({"a": "x" * 900}),
    ],
)
async def test_every_kind_of_event_counts_with_what_it_carries(event: Event) -> None:
    channel = Channel(capacity=900)
    channel.emit(ModelFinished("stop"))
    await channel.room()
    channel.emit(event)
    with anyio.move_on_after(0.01) as waiting:
        await channel.room()
    assert waiting.cancelled_caught


@pytest.mark.anyio
async def test_whoever_writes_to_a_closed_channel_is_stopped() -> None:
    channel = Channel()
    channel.emit(TextDelta("a"))
    assert not channel.is_closed
    channel.close()
    assert channel.is_closed
    with pytest.raises(ChannelClosed):
        channel.emit(TextDelta("b"))
    with pytest.raises(ChannelClosed):
        await channel.room()
    with pytest.raises(ChannelClosed):
        await anyio.to_thread.run_sync(channel.emit, TextDelta("c"))
    assert texts(await channel.receive()) == ["a"]


@pytest.mark.anyio
async def test_closing_wakes_threads_and_tasks_that_wait() -> None:
    channel = Channel(capacity=100)
    stopped: list[str] = []
    full = threading.Event()

    def write() -> None:
        try:
            channel.emit(TextDelta(HALF))
            full.set()
            channel.emit(TextDelta(HALF))
        except ChannelClosed:
            stopped.append("thread")

    async def wait() -> None:
        try:
            await channel.room()
        except ChannelClosed:
            stopped.append("task")

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.to_thread.run_sync, write)
            await anyio.to_thread.run_sync(full.wait)
            tasks.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            channel.close()
    assert sorted(stopped) == ["task", "thread"]


def test_no_component_takes_a_closed_channel_for_a_failure() -> None:
    assert not issubclass(ChannelClosed, Exception)


@pytest.mark.anyio
async def test_a_writer_on_a_loop_of_its_own_waits_for_room_there() -> None:
    channel, own = Channel(capacity=1000), OwnLoop("it")
    full = threading.Event()

    async def write() -> None:
        channel.write_here()
        for number in range(6):
            channel.emit(TextDelta(HALF))
            channel.emit(TextDelta(str(number)))  # it never waits there
            if channel.is_full:
                asyncio.get_running_loop().call_soon(full.set)  # so that loop goes on
                await channel.room()

    own.start(write())
    await anyio.to_thread.run_sync(full.wait)
    got: list[str] = []
    while len(got) < 12:
        got += texts(await channel.receive())
    assert [text for text in got if text != HALF] == list("012345")
    own.close()


@pytest.mark.anyio
async def test_a_writer_whose_loop_has_ended_keeps_no_reader() -> None:
    channel, own = Channel(capacity=100), OwnLoop("it")

    async def write() -> None:
        channel.write_here()
        channel.emit(TextDelta(HALF))
        await channel.room()

    own.start(write())
    assert texts(await channel.receive()) == [HALF]
    channel.emit(TextDelta(HALF))
    own.start(channel.room())
    own.close()
    await anyio.to_thread.run_sync(own.thread.join)
    assert texts(await channel.receive()) == [HALF]


# ---- readers that are called


class Listener:
    """Takes what waits whenever it is told to."""

    def __init__(self, channel: Channel) -> None:
        self.heard: list[list[Event]] = []
        self._channel = channel
        channel.listen(self)

    def __call__(self) -> None:
        self.heard.append(self._channel.take())


@pytest.mark.anyio
async def test_a_listener_is_told_once_of_all_that_comes_in_a_moment() -> None:
    channel = Channel()
    listener = Listener(channel)
    await quiet()
    assert listener.heard == []
    for text in "ab":
        channel.emit(TextDelta(text))
    assert channel.has_events
    await quiet()
    assert not channel.has_events
    channel.emit(TextDelta("c"))
    await quiet()
    assert list(map(texts, listener.heard)) == [["a", "b"], ["c"]]


@pytest.mark.anyio
async def test_a_listener_is_told_of_what_waits_already() -> None:
    channel = Channel()
    channel.emit(TextDelta("a"))
    await quiet()
    listener = Listener(channel)
    await quiet()
    assert list(map(texts, listener.heard)) == [["a"]]


@pytest.mark.anyio
async def test_a_listener_misses_nothing_that_threads_say() -> None:
    channel = Channel(capacity=5000)
    listener = Listener(channel)

    def write(name: str) -> None:
        for number in range(1000):
            channel.emit(TextDelta(f"{name}{number}"))

    async with anyio.create_task_group() as tasks:
        for name in "abc":
            tasks.start_soon(anyio.to_thread.run_sync, write, name)
    await quiet()
    heard = [text for events in listener.heard for text in texts(events)]
    for name in "abc":
        assert [text for text in heard if text[0] == name] == [f"{name}{n}" for n in range(1000)]
    assert len(listener.heard) < 3000


@pytest.mark.anyio
async def test_a_reader_that_gave_up_waiting_loses_nothing() -> None:
    channel = Channel()
    with anyio.move_on_after(0.001):
        await channel.receive()
    channel.emit(TextDelta("a"))
    await quiet()
    assert texts(await channel.receive()) == ["a"]
    assert channel.take() == []


# ---- the end


@pytest.mark.anyio
async def test_the_end_comes_after_all_that_waits_and_is_told_at_once() -> None:
    channel = Channel()
    listener = Listener(channel)
    channel.emit(TextDelta("a"))
    assert channel.end(RunFinished("x"))
    assert listener.heard == [[TextDelta("a"), RunFinished("x")]]


@pytest.mark.anyio
async def test_there_is_one_end_and_nothing_after_it() -> None:
    channel = Channel()
    assert channel.end(RunCancelled("first"))
    assert not channel.end(RunFinished("second"))
    with pytest.raises(ChannelClosed):
        channel.emit(TextDelta("a"))
    assert await channel.receive() == [RunCancelled("first")]
    closed = Channel()
    closed.close()
    assert not closed.end(RunFinished())


@pytest.mark.anyio
async def test_the_end_wakes_who_waits_for_room() -> None:
    channel = Channel(capacity=100)
    channel.emit(TextDelta(HALF))
    stopped: list[str] = []

    def write() -> None:
        with pytest.raises(ChannelClosed):
            channel.emit(TextDelta(HALF))
        stopped.append("thread")

    async def wait() -> None:
        with pytest.raises(ChannelClosed):
            await channel.room()
        stopped.append("task")

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(anyio.to_thread.run_sync, write)
                tasks.start_soon(wait)
            await quiet()
            channel.end(RunCancelled())
    assert sorted(stopped) == ["task"] * 3 + ["thread"] * 3


@pytest.mark.anyio
async def test_the_end_wakes_who_waits_for_events() -> None:
    channel = Channel()
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(channel.receive)
            await quiet()
            channel.end(RunFinished())


@pytest.mark.anyio
async def test_a_full_channel_has_room_when_all_was_taken() -> None:
    channel = Channel(capacity=1000)
    channel.emit(TextDelta(HALF))
    assert not channel.is_full
    channel.emit(TextDelta(HALF))
    channel.emit(TextDelta(HALF))  # on the event loop it never waits
    assert channel.is_full
    assert len(channel.take()) == 3
    assert not channel.is_full
    await channel.room()


@pytest.mark.anyio
async def test_who_waits_for_room_may_give_up_without_harm_to_others() -> None:
    channel = Channel(capacity=100)
    channel.emit(TextDelta(HALF))
    had: list[str] = []

    async def wait(name: str) -> None:
        await channel.room()
        had.append(name)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait, "patient")
        with anyio.move_on_after(0.001):
            await wait("impatient")
        channel.take()
    assert had == ["patient"]


@pytest.mark.anyio
async def test_a_loop_is_woken_at_once_and_then_once_for_all_that_write_within_a_moment() -> None:
    loop = asyncio.get_running_loop()
    waker, turns, turn = Waker(loop), list[int](), list[int]()

    def end_turn() -> None:
        turns.append(len(turn))
        turn.clear()

    def called() -> None:
        if not turn:
            loop.call_soon(end_turn)
        turn.append(1)

    for _ in range(3):
        await asyncio.to_thread(lambda: [waker.call(called) for _ in range(1000)])
        await asyncio.sleep(10 * TURN_SECONDS)
    assert sum(turns) == 3000
    assert len(turns) < 300


@pytest.mark.anyio
async def test_events_of_a_thread_come_whole_and_in_order_with_a_waker() -> None:
    channel = Channel(waker=Waker(asyncio.get_running_loop()))
    thread = asyncio.create_task(
        asyncio.to_thread(lambda: [channel.emit(TextDelta(str(number))) for number in range(1000)])
    )
    events: list[Event] = []
    while len(events) < 1000:
        events += await channel.receive()
    await thread
    assert events == [TextDelta(str(number)) for number in range(1000)]
