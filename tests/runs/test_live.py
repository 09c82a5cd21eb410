"""A run as its caller sees it."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Generator
from typing import Any

import anyio
import anyio.to_thread
import pytest

from hayserve.errors import NotFound
from hayserve.events import Event, RunCancelled, RunFailed, RunFinished, StreamOpened, TextDelta
from hayserve.runs.live import LiveRun, has_closed
from hayserve.wrappers.streaming import streaming_generator
from runs.running import executing, run_of, started
from wrappers.streaming_parts import words


def live_run() -> LiveRun:
    return LiveRun(run_of(print))


@pytest.mark.anyio
async def test_the_opening_is_whatever_comes_first() -> None:
    live = live_run()
    live.channel.emit(RunFinished("x"))
    assert await live.opening(grace=0) == [RunFinished("x")]


@pytest.mark.anyio
async def test_the_opening_waits_a_moment_for_a_stream_to_say_something() -> None:
    async def says() -> AsyncGenerator[str]:
        await asyncio.sleep(0)
        yield "a"

    async with started(says) as live:
        opening = await live.opening(grace=5)
        assert opening[:2] == [StreamOpened(), TextDelta("a")]


@pytest.mark.anyio
async def test_the_opening_of_a_stream_that_says_nothing_is_that_it_opened() -> None:
    live = live_run()
    live.channel.emit(StreamOpened())
    assert await live.opening(grace=0.01) == [StreamOpened()]
    live.channel.emit(TextDelta("a"))
    assert await live.channel.receive() == [TextDelta("a")]


@pytest.mark.anyio
async def test_a_caller_that_is_cancelled_cancels_the_run() -> None:
    live = live_run()
    with anyio.move_on_after(0.01):
        await live.all_events()
    assert live.closing == RunCancelled()


@pytest.mark.anyio
async def test_who_is_told_of_the_end_by_the_channel_finds_it_at_the_run() -> None:
    live = live_run()
    found: list[object] = []
    live.channel.listen(lambda: found.append(live.closing))
    assert live.cancel("it took too long")
    assert found == [RunCancelled("it took too long")]
    assert not live.end(RunFinished("late"))


@pytest.mark.parametrize(
    ("events", "closed"),
    [
        ([], False),
        ([TextDelta("a")], False),
        ([TextDelta("a"), RunFinished()], True),
        ([RunFailed(NotFound("x"))], True),
        ([RunCancelled()], True),
    ],
)
def test_a_closing_event_is_the_last(events: list[TextDelta], closed: bool) -> None:
    assert has_closed(events) is closed


@pytest.mark.anyio
async def test_a_run_ends_once() -> None:
    stopped: list[LiveRun] = []
    live = LiveRun(run_of(print), on_stop=stopped.append)
    assert live.cancel("enough")
    assert not live.cancel("more")
    assert not live.end(RunFinished("late"))
    assert await live.all_events() == [RunCancelled("enough")]
    assert stopped == [live]


@pytest.mark.anyio
async def test_a_run_that_has_ended_is_not_stopped() -> None:
    live = live_run()
    assert live.end(RunFinished("x"))
    assert not live.cancel()
    assert not live.context.is_stopped
    assert await live.all_events() == [RunFinished("x")]


@pytest.mark.anyio
async def test_a_task_is_cancelled_once_and_may_clean_up() -> None:
    cleaned_up: list[str] = []

    async def works() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            cleaned_up.append("up")

    async with started(works) as live:
        await anyio.wait_all_tasks_blocked()
        live.cancel()
        live.cancel()
        await anyio.wait_all_tasks_blocked()
        live.cancel()
    assert cleaned_up == ["up"]


@pytest.mark.anyio
async def test_an_async_wrapper_is_cancelled_and_cleans_up() -> None:
    said: list[str] = []
    begun = asyncio.Event()

    async def works() -> None:
        try:
            begun.set()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            said.append("cancelled")
            raise
        finally:
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            said.append("cleaned up")

    async with started(works) as live:
        await begun.wait()
        live.cancel()
        await anyio.wait_all_tasks_blocked()
        assert said == ["cancelled", "cleaned up"]


@pytest.mark.anyio
async def test_an_async_stream_is_cancelled_and_cleans_up() -> None:
    said: list[str] = []

    async def works() -> AsyncGenerator[str]:
        try:
            yield "a"
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            said.append("cleaned up")

    async with started(works) as live:
        assert await live.opening(grace=5) == [StreamOpened(), TextDelta("a")]
        live.cancel()
        await anyio.wait_all_tasks_blocked()
        assert said == ["cleaned up"]


@pytest.mark.anyio
async def test_a_sync_stream_is_closed_at_its_next_item() -> None:
    ended = threading.Event()
    go = threading.Event()
    given: list[int] = []

    def works() -> Generator[str]:
        try:
            for number in range(1000):
                yield "a"
                given.append(number)
                go.wait()
        finally:
            ended.set()

    async with started(works) as live:
        await live.opening(grace=5)
        live.cancel()
        go.set()
        assert await anyio.to_thread.run_sync(ended.wait, 5)
    assert given == [0]


@pytest.mark.anyio
async def test_a_driven_pipeline_stops_at_its_next_chunk() -> None:
    talks, pipeline = words(10_000_000)

    def works() -> Any:
        return streaming_generator(pipeline, pipeline_run_args={"query": ""})

    async with started(works) as live:
        await live.opening(grace=5)
        live.cancel()
        assert await anyio.to_thread.run_sync(talks.ended.wait, 5)
    assert talks.said < 10_000_000


@pytest.mark.anyio
async def test_a_run_that_was_cancelled_before_it_began_is_not_called() -> None:
    called: list[str] = []

    async def works() -> None:
        called.append("x")

    async with started(works) as live:
        live.cancel()
        await anyio.wait_all_tasks_blocked()
    assert called == []


@pytest.mark.anyio
async def test_a_run_that_does_not_listen_to_its_cancelling_ends_at_its_next_item() -> None:
    said: list[str] = []

    async def works() -> AsyncGenerator[str]:
        yield "a"
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            said.append("never mind")
        yield "b"
        said.append("not reached")

    async with started(works) as live:
        await live.opening(grace=5)
        live.cancel()
        await anyio.wait_all_tasks_blocked()
    assert said == ["never mind"]


@pytest.mark.anyio
@pytest.mark.parametrize("is_async", [False, True])
async def test_a_reader_that_is_slow_holds_the_writer_up(is_async: bool) -> None:
    given: list[int] = []
    text = "x" * 10_000

    def works() -> Generator[str]:
        for number in range(100):
            given.append(number)
            yield text

    async def works_async() -> AsyncGenerator[str]:
        for item in works():
            yield item

    async with started(works_async if is_async else works) as live:
        events: list[Event] = []
        while not has_closed(events):
            assert len(given) <= len(events) + 30
            await anyio.wait_all_tasks_blocked()
            events += await live.channel.receive()
    assert len(given) == 100


@pytest.mark.anyio
async def test_a_thread_that_nobody_reads_ends_with_the_executor() -> None:
    talks, pipeline = words(10_000_000)
    async with executing() as executor:
        live = executor.start(
            run_of(lambda: streaming_generator(pipeline, pipeline_run_args={"query": ""}))
        )
        await live.opening(grace=5)
    assert await anyio.to_thread.run_sync(talks.ended.wait, 5)


def test_a_thread_may_outlive_its_event_loop() -> None:
    begun, go, ended = threading.Event(), threading.Event(), threading.Event()

    def works() -> None:
        begun.set()
        go.wait()
        ended.set()

    async def main() -> None:
        async with started(works) as live:
            await anyio.to_thread.run_sync(begun.wait)
            live.cancel()
            await anyio.wait_all_tasks_blocked()

    asyncio.run(main())
    go.set()
    assert ended.wait(5)
