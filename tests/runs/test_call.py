"""What is called for a run, and what becomes of what it gives when the run is stopped."""

import asyncio
import gc
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import anyio
import anyio.from_thread
import anyio.lowlevel
import anyio.to_thread
import pytest
from haystack import component
from haystack.dataclasses import StreamingChunk

from hayserve.events import RunCancelled, RunFinished, StreamOpened, TextDelta
from hayserve.runs.call import read, read_async
from hayserve.runs.channel import Channel, ChannelClosed
from hayserve.wrappers.own_loop import OwnLoop
from hayserve.wrappers.streaming import async_streaming_generator, streaming_generator
from runs.running import Gate, emptied, events_of, executing, quiet, run_of, until
from wrappers.streaming_parts import Own, SyncOnly, chat, words

pytestmark = pytest.mark.anyio


async def answer() -> str:
    return "x"


def gives(make: Callable[[], Any]) -> Callable[[], Any]:
    """A sync method that gives what `make` gives."""
    return lambda: make()  # noqa: PLW0108 - that it does not look async is the point


async def test_what_a_sync_method_gives_to_await_is_awaited_on_the_event_loop() -> None:
    assert await events_of(gives(answer)) == [RunFinished("x")]


class Later:
    """Something to await that is no coroutine."""

    def __await__(self) -> Generator[Any, None, str]:
        return answer().__await__()


async def test_whatever_can_be_awaited_is() -> None:
    assert await events_of(Later) == [RunFinished("x")]


async def test_a_coroutine_that_gives_a_stream_is_read_where_that_belongs() -> None:
    async def stream() -> Any:
        return iter("ab")

    expected = [StreamOpened(), TextDelta("a"), TextDelta("b"), RunFinished()]
    assert await events_of(gives(stream)) == expected


@pytest.mark.parametrize("make", [answer, Later])
async def test_what_a_stopped_run_would_have_awaited_is_let_go_without_a_warning(
    make: Callable[[], Any],
) -> None:
    gate = Gate()

    def method() -> Any:
        gate()
        return make()

    async with executing() as executor:
        live = executor.start(run_of(method))
        await gate.reached()
        live.cancel()
        gate.open()
        await emptied(executor)
    gc.collect()


async def test_what_was_to_be_awaited_is_let_go_if_its_run_is_stopped_before_that_begins() -> None:
    """The event loop that is to await it is held up until then."""
    own, held = OwnLoop("it"), Gate()
    returned = anyio.Event()

    def method() -> Any:
        anyio.from_thread.run_sync(returned.set, token=token)
        return answer()

    async def hold() -> None:
        held()

    token = anyio.lowlevel.current_token()
    run = run_of(method)
    run.method = replace(run.method, loop=own)
    async with executing() as executor:
        own.start(hold())
        await held.reached()
        live = executor.start(run)
        await returned.wait()
        await anyio.sleep(0.05)  # until it has been handed to that loop
        live.cancel()
        held.open()
        await emptied(executor)
    own.close()
    await anyio.to_thread.run_sync(own.thread.join)
    gc.collect()


async def test_a_stream_that_belongs_elsewhere_is_not_begun_if_its_run_is_stopped() -> None:
    begun: list[str] = []
    gate, async_gate = Gate(), Gate()

    def sync_items() -> Generator[str]:
        begun.append("sync")
        yield "a"

    async def async_items() -> AsyncGenerator[str]:
        begun.append("async")
        yield "a"

    def method() -> Any:
        gate()
        return async_items()

    async def method_async() -> Any:
        with suppress(asyncio.CancelledError):
            await async_gate.pass_async()
        return sync_items()

    async with executing() as executor:
        for made, at in ((method, gate), (method_async, async_gate)):
            live = executor.start(run_of(made))
            await at.reached()
            live.cancel()
            at.open()
            await emptied(executor)
    assert begun == []


async def test_a_stream_that_the_wrapper_has_begun_to_read_is_ended_with_its_run() -> None:
    talks, pipeline = words(10_000_000)

    def method() -> Any:
        stream = streaming_generator(pipeline, pipeline_run_args={"query": ""})
        next(stream)
        return stream

    async with executing() as executor:
        live = executor.start(run_of(method))
        await live.opening(grace=5)
        live.cancel()
        await emptied(executor)
        assert await anyio.to_thread.run_sync(talks.ended.wait, 5)


@component
class Endless:
    """A component that talks until it is cancelled, and then takes a moment to clean up."""

    def __init__(self) -> None:
        self.has_cleaned_up = False

    @component.output_types(replies=list[str])
    def run(self, query: str, streaming_callback: Any = None) -> dict[str, Any]:
        raise NotImplementedError

    @component.output_types(replies=list[str])
    async def run_async(self, query: str, streaming_callback: Any = None) -> dict[str, Any]:
        try:
            while True:
                streaming_callback(StreamingChunk(content="a"))
                await asyncio.sleep(0.001)
        finally:
            await asyncio.sleep(0.01)
            self.has_cleaned_up = True


async def test_a_run_has_ended_when_the_pipeline_that_it_streams_has_cleaned_up() -> None:
    for options in ({}, {"on_pipeline_end": print}):
        talks = Endless()

        async def method(talks: Endless = talks, options: Any = options) -> Any:
            pipeline = chat(("talks", talks))
            return async_streaming_generator(pipeline, pipeline_run_args={"query": ""}, **options)

        async with executing() as executor:
            live = executor.start(run_of(method))
            await live.opening(grace=5)
            live.cancel()
            await emptied(executor)
            assert talks.has_cleaned_up


async def test_a_pipeline_that_is_shielded_goes_on_when_its_run_is_stopped() -> None:
    talks = SyncOnly(words=100)

    async def method() -> Any:
        return async_streaming_generator(
            chat(("talks", talks)), pipeline_run_args={"query": ""}, shield_pipeline_task=True
        )

    async with executing() as executor:
        live = executor.start(run_of(method))
        await live.opening(grace=5)
        live.cancel()
        await emptied(executor)
        assert await anyio.to_thread.run_sync(talks.ended.wait, 5)
        await quiet()
    assert talks.said == 100


async def test_a_pipeline_whose_events_nobody_takes_waits() -> None:
    talks = Own(words=100_000)

    async def method() -> Any:
        return async_streaming_generator(
            chat(("talks", talks)), pipeline_run_args={"query": ""}, on_pipeline_end=print
        )

    async with executing() as executor:
        live = executor.start(run_of(method))
        await until(lambda: live.channel.is_full)
        await quiet()
        assert talks.said < 20_000
        live.cancel()
        await emptied(executor)


async def test_a_run_that_was_stopped_opens_no_stream() -> None:
    channel = Channel()
    channel.end(RunCancelled())
    read_items: list[str] = []

    def items() -> Generator[str]:
        read_items.append("a")
        yield "a"

    async def items_async() -> AsyncGenerator[str]:
        read_items.append("a")
        yield "a"

    with pytest.raises(ChannelClosed):
        read(items(), channel)
    with pytest.raises(ChannelClosed):
        await read_async(items_async(), channel)
    assert read_items == []
