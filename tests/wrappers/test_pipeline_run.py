"""How a run goes on, waits and ends beside the reader of its stream."""

import asyncio
import gc
import logging
from collections.abc import AsyncGenerator, Generator
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
from haystack import component
from haystack.components.agents import Agent
from haystack.components.generators.chat import MockChatGenerator
from haystack.dataclasses import ChatMessage

from hayserve.wrappers.context import RunContext, current_run
from hayserve.wrappers.streaming import (
    AsyncPipelineStream,
    async_streaming_generator,
    streaming_generator,
)
from wrappers.streaming_parts import (
    USER,
    CallsBackOnLoop,
    Own,
    SyncOnly,
    Waiting,
    calculator,
    chat,
    read_on_loop,
    say,
    where,
    words,
)


def test_a_stream_is_a_generator() -> None:
    _, pipeline = words(3)
    stream = streaming_generator(pipeline, pipeline_run_args={"query": ""})
    assert isinstance(stream, Generator)
    assert iter(stream) is stream
    assert next(stream).content == "0 "
    with pytest.raises(LookupError, match="mine"):
        stream.throw(LookupError("mine"))
    assert list(stream) == []
    with pytest.raises(KeyError):
        streaming_generator(pipeline).throw(KeyError)
    with pytest.raises(KeyError, match="k"):
        streaming_generator(pipeline).throw(KeyError, KeyError("k"))


@pytest.mark.anyio
async def test_an_async_stream_is_an_async_generator() -> None:
    pipeline = chat(("talks", Waiting()))
    stream = async_streaming_generator(pipeline, pipeline_run_args={"query": ""})
    assert isinstance(stream, AsyncGenerator)
    assert aiter(stream) is stream
    assert (await stream.asend(None)).content == "a"
    with pytest.raises(LookupError, match="mine"):
        await stream.athrow(LookupError("mine"))
    assert [item async for item in stream] == []
    await async_streaming_generator(pipeline).aclose()


def test_a_closed_stream_stops_the_pipeline_at_its_next_chunk() -> None:
    talks, pipeline = words(100_000)
    stream = streaming_generator(pipeline, pipeline_run_args={"query": ""})
    next(stream)
    stream.close()
    assert talks.ended.wait(5)
    assert talks.said < 1000


def test_a_stream_that_nobody_holds_any_more_stops_the_pipeline() -> None:
    talks, pipeline = words(100_000)
    for _ in streaming_generator(pipeline, pipeline_run_args={"query": ""}):
        break
    assert talks.ended.wait(5)
    assert talks.said < 1000


def test_a_pipeline_does_not_run_far_ahead_of_its_reader() -> None:
    talks, pipeline = words(500)
    stream = streaming_generator(pipeline, pipeline_run_args={"query": ""})
    for number in range(500):
        assert next(stream).content == f"{number} "
        assert talks.said <= number + 70
    assert list(stream) == []


def test_a_stream_whose_beginning_was_read_is_driven_from_there() -> None:
    _, pipeline = words(3)
    stream = streaming_generator(pipeline, pipeline_run_args={"query": ""})
    first = next(stream)
    items: list[Any] = []
    stream.drive(items.append)
    assert say([first]) + say(items) == "0 1 2 "


def test_a_driven_stream_stops_where_it_is_told_to() -> None:
    talks, pipeline = words(100)

    class Gone(BaseException):
        pass

    def put(item: Any) -> None:
        if item.content == "5 ":
            raise Gone

    with pytest.raises(Gone):
        streaming_generator(pipeline, pipeline_run_args={"query": ""}).drive(put)
    assert talks.said == 5


@pytest.mark.anyio
async def test_a_sync_stream_can_be_drained_inside_an_event_loop() -> None:
    async def status(*args: Any) -> str:
        await asyncio.sleep(0)
        return f"({where.get()})"

    where.set("loop")
    stream = streaming_generator(
        calculator(), pipeline_run_args={"messages": USER}, on_tool_call_start=status
    )
    assert say(stream) == "<(loop)><(loop)><(loop)>It is 10."


@pytest.mark.anyio
async def test_an_async_stream_can_be_made_where_no_event_loop_runs() -> None:
    _, pipeline = words(2)
    stream = await anyio.to_thread.run_sync(
        lambda: async_streaming_generator(pipeline, pipeline_run_args={"query": ""})
    )
    assert say([item async for item in stream]) == "0 1 "


@pytest.mark.anyio
async def test_the_event_loops_own_components_stream_on_it() -> None:
    model = MockChatGenerator(["one two three"])
    stream = async_streaming_generator(chat(("llm", model)), pipeline_run_args={"messages": USER})
    assert say([item async for item in stream]) == "one two three"


@pytest.mark.anyio
@pytest.mark.parametrize("allowed", [False, True])
async def test_a_component_from_elsewhere_streams_with_a_sync_callback(allowed: bool) -> None:
    pipeline = chat(("talks", CallsBackOnLoop()))
    stream = async_streaming_generator(
        pipeline,
        pipeline_run_args={"query": "a b"},
        allow_sync_streaming_callbacks=allowed,
    )
    assert say([item async for item in stream]) == "ab"


@pytest.mark.anyio
async def test_closing_an_async_stream_cancels_the_run() -> None:
    waiting = Waiting()
    stream = async_streaming_generator(chat(("waits", waiting)), pipeline_run_args={"query": ""})
    assert (await anext(stream)).content == "a"
    await stream.aclose()
    assert waiting.cleaned_up.is_set()
    assert [item async for item in stream] == []


@pytest.mark.anyio
async def test_an_async_stream_that_nobody_holds_any_more_cancels_the_run() -> None:
    waiting = Waiting()
    pipeline = chat(("waits", waiting))
    async for _ in async_streaming_generator(pipeline, pipeline_run_args={"query": ""}):
        break
    gc.collect()
    with anyio.fail_after(5):
        await waiting.cleaned_up.wait()


def test_an_async_stream_may_outlive_its_event_loop() -> None:
    streams: list[AsyncPipelineStream] = []

    async def keep() -> None:
        _, pipeline = words(1)
        stream = async_streaming_generator(pipeline, pipeline_run_args={"query": ""})
        streams.append(stream)
        async for _ in stream:
            pass

    asyncio.run(keep())
    streams.clear()
    gc.collect()


@pytest.mark.anyio
async def test_a_reader_that_is_cancelled_cancels_the_run() -> None:
    waiting = Waiting()
    stream = async_streaming_generator(chat(("waits", waiting)), pipeline_run_args={"query": ""})

    async def reading() -> None:
        async for _ in stream:
            pass

    with anyio.move_on_after(0.05):
        await reading()
    await stream.aclose()
    assert waiting.cleaned_up.is_set()


@pytest.mark.anyio
async def test_a_stream_that_is_closed_while_it_is_read_ends() -> None:
    stream = async_streaming_generator(chat(("waits", Waiting())), pipeline_run_args={"query": ""})
    items: list[Any] = []

    async def reading() -> None:
        items.extend([item async for item in stream])

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(reading)
        await anyio.wait_all_tasks_blocked()
        await stream.aclose()
    assert say(items) == "a"


@pytest.mark.anyio
async def test_a_component_that_cancels_itself_is_an_error() -> None:
    waiting = Waiting(ending=asyncio.CancelledError())
    waiting.go.set()
    with pytest.raises(RuntimeError, match="raised CancelledError"):
        await read_on_loop(chat(("waits", waiting)), pipeline_run_args={"query": ""})


@pytest.mark.anyio
async def test_an_agents_exit_does_not_end_the_event_loop() -> None:
    @component
    class Exits:
        @component.output_types(replies=list[ChatMessage])
        def run(self, messages: Any, streaming_callback: Any = None) -> dict[str, Any]:
            raise NotImplementedError

        @component.output_types(replies=list[ChatMessage])
        async def run_async(self, messages: Any, streaming_callback: Any = None) -> dict[str, Any]:
            raise SystemExit(1)

    with pytest.raises(SystemExit):
        await read_on_loop(Agent(chat_generator=Exits()), pipeline_run_args={"messages": USER})


@pytest.mark.anyio
async def test_a_shielded_run_ends_by_itself(caplog: pytest.LogCaptureFixture) -> None:
    waiting = Waiting()
    stream = async_streaming_generator(
        chat(("waits", waiting)), pipeline_run_args={"query": ""}, shield_pipeline_task=True
    )
    await anext(stream)
    await stream.aclose()
    del stream
    gc.collect()
    assert not waiting.cleaned_up.is_set()
    waiting.go.set()
    with anyio.fail_after(5):
        await waiting.cleaned_up.wait()
    await anyio.wait_all_tasks_blocked()
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


@pytest.mark.anyio
@pytest.mark.parametrize("run", [None, RunContext("0815")])
async def test_the_later_error_of_a_shielded_run_is_logged(
    caplog: pytest.LogCaptureFixture, run: RunContext | None
) -> None:
    current_run.set(run)
    waiting = Waiting(ending=ValueError("late"))
    stream = async_streaming_generator(
        chat(("waits", waiting)), pipeline_run_args={"query": ""}, shield_pipeline_task=True
    )
    await anext(stream)
    await stream.aclose()
    waiting.go.set()
    with anyio.fail_after(5):
        while not (errors := [entry for entry in caplog.records if entry.levelname == "ERROR"]):
            await anyio.lowlevel.checkpoint()
    [record] = errors
    assert record.message == "run_failed_after_its_reader_left"
    assert record.__dict__["run_id"] == ("0815" if run else "")
    assert record.exc_info
    assert "late" in str(record.exc_info[1])


@pytest.mark.anyio
async def test_a_generator_of_the_wrappers_own_around_the_stream_stops_it() -> None:
    waiting = Waiting()
    pipeline = chat(("waits", waiting))

    async def own() -> AsyncGenerator[Any]:
        async for chunk in async_streaming_generator(pipeline, pipeline_run_args={"query": ""}):
            yield chunk

    around = own()
    assert (await anext(around)).content == "a"
    await around.aclose()
    gc.collect()
    with anyio.fail_after(5):
        await waiting.cleaned_up.wait()


@pytest.mark.anyio
async def test_an_async_component_does_not_run_far_ahead_of_its_reader() -> None:
    own = Own(words=500)
    stream = async_streaming_generator(chat(("own", own)), pipeline_run_args={"query": ""})
    for number in range(500):
        assert (await anext(stream)).content == f"{number} "
        assert own.said <= number + 70
    assert [item async for item in stream] == []


@pytest.mark.anyio
async def test_a_sync_component_does_not_run_far_ahead_of_an_async_reader() -> None:
    talks, pipeline = words(500)
    stream = async_streaming_generator(pipeline, pipeline_run_args={"query": ""})
    for number in range(500):
        assert (await anext(stream)).content == f"{number} "
        assert talks.said <= number + 70
    assert [item async for item in stream] == []


@pytest.mark.anyio
async def test_closing_an_async_stream_stops_a_sync_component_at_its_next_chunk() -> None:
    talks, pipeline = words(100_000)
    stream = async_streaming_generator(pipeline, pipeline_run_args={"query": ""})
    await anext(stream)
    await stream.aclose()
    await anyio.to_thread.run_sync(talks.ended.wait)
    assert talks.said < 1000


@pytest.mark.anyio
@pytest.mark.parametrize("talks", [SyncOnly(words=500), Own(words=500)])
async def test_a_shielded_component_is_not_held_up(talks: SyncOnly) -> None:
    stream = async_streaming_generator(
        chat(("talks", talks)), pipeline_run_args={"query": ""}, shield_pipeline_task=True
    )
    await anext(stream)
    await stream.aclose()
    await anyio.to_thread.run_sync(talks.ended.wait)
    assert talks.said == 500


@pytest.mark.anyio
async def test_a_component_that_cannot_wait_loses_nothing() -> None:
    pipeline = chat(("talks", CallsBackOnLoop()))
    query = "word " * 200
    stream = async_streaming_generator(pipeline, pipeline_run_args={"query": query})
    assert [chunk.content async for chunk in stream] == ["word"] * 200
