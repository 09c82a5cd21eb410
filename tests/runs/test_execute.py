"""What becomes of a call of a wrapper's method."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
from fastapi import HTTPException as FastAPIException
from starlette.exceptions import HTTPException

from hayserve.errors import InvalidRequest, NotReady, WrapperFailed, WrapperRefused
from hayserve.events import (
    BytesDelta,
    RunCancelled,
    RunFailed,
    RunFinished,
    StreamOpened,
    TextDelta,
    Usage,
)
from hayserve.runs.execute import Executor
from hayserve.runs.run import Run
from hayserve.wrappers.base import SSEStream
from hayserve.wrappers.context import current_run
from hayserve.wrappers.own_loop import OwnLoop
from hayserve.wrappers.streaming import async_streaming_generator, streaming_generator
from hayserve.wrappers.usage import count_usage
from runs.running import events_of, executing, own, run_of
from wrappers.streaming_parts import USER, Shout, calculator, chat, words

AB = [TextDelta("a"), TextDelta("b")]


def generator() -> Generator[str]:
    yield "a"
    yield "b"


async def async_generator() -> AsyncGenerator[str]:
    yield "a"
    yield "b"


def plain() -> str:
    return "x"


async def async_plain() -> str:
    return "x"


async def returning(make: Callable[[], Any]) -> Any:
    return make()


class Letters:
    """An async iterator that is no generator."""

    def __init__(self) -> None:
        self.left = ["a", "b"]

    def __aiter__(self) -> "Letters":
        return self

    async def __anext__(self) -> str:
        if not self.left:
            raise StopAsyncIteration
        return self.left.pop(0)


class CalledAsync:
    """What a decorator may make of an async method: an object that does not look async."""

    async def __call__(self) -> Any:
        return await async_plain()


@pytest.mark.anyio
@pytest.mark.parametrize("method", [plain, async_plain, CalledAsync(), partial(async_plain)])
async def test_a_plain_value_is_the_result(method: Callable[[], Any]) -> None:
    assert await events_of(method) == [RunFinished("x")]


@pytest.mark.anyio
async def test_arguments_go_to_the_method() -> None:
    def add(a: int, b: int) -> int:
        return a + b

    assert await events_of(add, a=1, b=2) == [RunFinished(3)]


@pytest.mark.anyio
@pytest.mark.parametrize("make", [generator, async_generator, lambda: iter("ab"), Letters])
@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("sse", [False, True])
async def test_a_stream_is_opened_read_and_closed(
    make: Callable[[], Any], is_async: bool, sse: bool
) -> None:
    def stream() -> Any:
        return SSEStream(make()) if sse else make()

    async def stream_async() -> Any:
        return stream()

    said = await events_of(stream_async if is_async else stream)
    assert said == [StreamOpened(sse=sse), *AB, RunFinished()]


@pytest.mark.anyio
async def test_an_async_generator_function_streams() -> None:
    assert await events_of(async_generator) == [StreamOpened(), *AB, RunFinished()]


@pytest.mark.anyio
async def test_an_empty_stream_is_opened_and_closed() -> None:
    assert await events_of(lambda: iter(())) == [StreamOpened(), RunFinished()]


@pytest.mark.anyio
@pytest.mark.parametrize("is_async", [False, True])
async def test_pipelines_stream_in_every_combination(is_async: bool) -> None:
    def sync_stream() -> Any:
        return streaming_generator(words(2)[1], pipeline_run_args={"query": ""})

    def async_stream() -> Any:
        return async_streaming_generator(words(2)[1], pipeline_run_args={"query": ""})

    for make in (sync_stream, async_stream):
        method = partial(returning, make) if is_async else make
        said = await events_of(method)
        assert said == [StreamOpened(), TextDelta("0 "), TextDelta("1 "), RunFinished()]


@pytest.mark.anyio
async def test_a_generator_of_the_wrappers_own_around_a_stream_works() -> None:
    def own() -> Generator[Any]:
        for chunk in streaming_generator(words(2)[1], pipeline_run_args={"query": ""}):
            yield chunk
            yield b"!"

    bang = BytesDelta(b"!")
    assert await events_of(own) == [
        StreamOpened(),
        TextDelta("0 "),
        bang,
        TextDelta("1 "),
        bang,
        RunFinished(),
    ]


class Odd(BaseException):
    pass


def fails(error: BaseException) -> list[Callable[[], Any]]:
    def at_once() -> None:
        raise error

    async def at_once_async() -> None:
        raise error

    def midway() -> Generator[str]:
        yield "a"
        raise error

    async def midway_async() -> AsyncGenerator[str]:
        yield "a"
        raise error

    return [at_once, at_once_async, midway, midway_async]


@pytest.mark.anyio
@pytest.mark.parametrize(
    "error",
    [
        ValueError("broke"),
        SystemExit(1),
        KeyboardInterrupt(),
        Odd("broke"),
        asyncio.CancelledError(),
        BaseExceptionGroup("group", [Odd("a"), asyncio.CancelledError()]),
    ],
)
@pytest.mark.parametrize("which", range(4))
async def test_whatever_a_wrapper_raises_ends_only_its_own_run(
    error: BaseException, which: int, caplog: pytest.LogCaptureFixture
) -> None:
    release = asyncio.Event()

    async def other() -> str:
        await release.wait()
        return "x"

    async with executing() as executor:
        others = executor.start(run_of(other))
        said = await executor.start(run_of(fails(error)[which])).all_events()
        release.set()
        assert await others.all_events() == [RunFinished("x")]
    closing = said[-1]
    assert isinstance(closing, RunFailed)
    assert isinstance(closing.error, WrapperFailed)
    assert closing.error.message.startswith(f"'it' failed in run_api: {type(error).__name__}")
    assert said[:-1] == ([] if which < 2 else [StreamOpened(), TextDelta("a")])
    assert [record.message for record in own(caplog.records)] == ["run_failed"]


@pytest.mark.anyio
async def test_an_exhausted_iterator_in_a_wrapper_is_an_error() -> None:
    nothing: Iterator[str] = iter(())
    [closing] = await events_of(lambda: next(nothing))
    assert isinstance(closing, RunFailed)


@pytest.mark.anyio
async def test_the_traceback_is_logged_once_and_its_paths_are_not_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    [closing] = await events_of(fails(ValueError("no file /home/me/data.txt"))[0])
    assert isinstance(closing, RunFailed)
    assert str(closing.error).startswith("'it' failed in run_api: ValueError: no file …/data.txt")
    [record] = own(caplog.records)
    told = record.__dict__
    assert (told["run_id"], told["deployment"], told["method"]) == ("r1", "it", "run_api")
    assert record.exc_info
    assert isinstance(record.exc_info[1], ValueError)


@pytest.mark.anyio
async def test_the_traceback_is_told_where_that_is_asked_for() -> None:
    async with executing(show_tracebacks=True) as executor:
        [closing] = await executor.start(run_of(fails(ValueError("broke"))[0])).all_events()
    assert isinstance(closing, RunFailed)
    assert "Traceback" in closing.error.hint


@pytest.mark.anyio
@pytest.mark.parametrize("kind", [HTTPException, FastAPIException])
@pytest.mark.parametrize("which", range(4))
async def test_a_refusal_keeps_its_status_and_is_not_logged(
    kind: Callable[..., HTTPException], which: int, caplog: pytest.LogCaptureFixture
) -> None:
    said = await events_of(fails(kind(418, "tea", {"x-a": "b"}))[which])
    closing = said[-1]
    assert isinstance(closing, RunFailed)
    assert isinstance(closing.error, WrapperRefused)
    refused = closing.error
    assert (refused.status, refused.detail, refused.headers) == (418, "tea", {"x-a": "b"})
    assert own(caplog.records) == []


@pytest.mark.anyio
async def test_a_complaint_about_the_request_passes(caplog: pytest.LogCaptureFixture) -> None:
    error = InvalidRequest("No image.")
    assert await events_of(fails(error)[0]) == [RunFailed(error)]
    assert own(caplog.records) == []


@pytest.mark.anyio
async def test_an_executor_that_stops_closes_its_runs() -> None:
    async def forever() -> None:
        await asyncio.Event().wait()

    async with executing() as executor:
        live = executor.start(run_of(forever))
        await anyio.wait_all_tasks_blocked()
    assert await live.channel.receive() == [RunCancelled("the server is stopping")]
    assert live.channel.is_closed


@pytest.mark.anyio
async def test_an_executor_that_is_not_running_takes_nothing() -> None:
    executor = Executor()
    with pytest.raises(NotReady):
        executor.start(run_of(plain))
    async with executor.running():
        executor.start(run_of(plain))
    with pytest.raises(NotReady, match="stopping"):
        executor.start(run_of(plain))


@pytest.mark.anyio
async def test_more_runs_than_threads_wait() -> None:
    go = threading.Event()
    running: list[int] = []

    def works(number: int) -> int:
        running.append(number)
        go.wait()
        return number

    async with executing(threads=2) as executor:
        lives = [executor.start(run_of(works, number=number)) for number in range(3)]
        with anyio.fail_after(5):
            while len(running) < 2:
                await anyio.wait_all_tasks_blocked()
        assert sorted(running) == [0, 1]
        go.set()
        assert [await live.all_events() for live in lives] == [[RunFinished(n)] for n in range(3)]


@pytest.mark.anyio
async def test_a_thread_whose_run_was_cancelled_counts_until_it_ends() -> None:
    go = threading.Event()
    running: list[str] = []

    def works(name: str) -> str:
        running.append(name)
        go.wait()
        return name

    async with executing(threads=1) as executor:
        first = executor.start(run_of(works, name="first"))
        with anyio.fail_after(5):
            while not running:
                await anyio.wait_all_tasks_blocked()
        first.cancel()
        second = executor.start(run_of(works, name="second"))
        third = executor.start(run_of(works, name="third"))
        await anyio.wait_all_tasks_blocked()
        assert running == ["first"]
        second.cancel()
        go.set()
        assert await third.all_events() == [RunFinished("third")]
    assert running == ["first", "third"]


@pytest.mark.anyio
@pytest.mark.parametrize("moments", range(8))
async def test_a_run_that_is_cancelled_at_its_beginning_keeps_no_thread(moments: int) -> None:
    async with executing(threads=1) as executor:
        first = executor.start(run_of(plain))
        for _ in range(moments):
            await anyio.lowlevel.checkpoint()
        first.cancel()
        with anyio.fail_after(5):
            assert await executor.start(run_of(plain)).all_events() == [RunFinished("x")]


@pytest.mark.anyio
@pytest.mark.parametrize("method", [plain, async_plain, generator, async_generator])
async def test_a_run_holds_its_deployment_from_its_start_to_its_end(
    method: Callable[[], Any],
) -> None:
    run = run_of(method)
    async with executing() as executor:
        live = executor.start(run)
        assert run.uses.count == 1
        assert isinstance((await live.all_events())[-1], RunFinished)
        with anyio.fail_after(5):
            await run.uses.wait_unused()


@pytest.mark.anyio
@pytest.mark.parametrize("which", range(4))
async def test_a_run_that_fails_lets_its_deployment_go(which: int) -> None:
    run = run_of(fails(ValueError("broke"))[which])
    async with executing() as executor:
        await executor.start(run).all_events()
        with anyio.fail_after(5):
            await run.uses.wait_unused()


@pytest.mark.anyio
async def test_a_thread_holds_its_deployment_until_it_ends_though_its_run_was_cancelled() -> None:
    go, begun = threading.Event(), threading.Event()

    def works() -> None:
        begun.set()
        go.wait()

    run = run_of(works)
    async with executing() as executor:
        live = executor.start(run)
        with anyio.fail_after(5):
            while not begun.is_set():
                await anyio.wait_all_tasks_blocked()
        live.cancel()
        await anyio.wait_all_tasks_blocked()
        assert run.uses.count == 1
        go.set()
        with anyio.fail_after(5):
            await run.uses.wait_unused()


@pytest.mark.anyio
@pytest.mark.parametrize("moments", range(8))
@pytest.mark.parametrize("method", [plain, async_plain])
async def test_a_run_that_is_cancelled_at_its_beginning_lets_its_deployment_go(
    method: Callable[[], Any], moments: int
) -> None:
    run = run_of(method)
    async with executing() as executor:
        live = executor.start(run)
        for _ in range(moments):
            await anyio.lowlevel.checkpoint()
        live.cancel()
        with anyio.fail_after(5):
            await run.uses.wait_unused()


@pytest.mark.anyio
@pytest.mark.parametrize("moments", range(4))
@pytest.mark.parametrize("method", [plain, async_plain])
async def test_an_executor_that_stops_lets_all_deployments_go(
    method: Callable[[], Any], moments: int
) -> None:
    run = run_of(method)
    async with executing() as executor:
        executor.start(run)
        for _ in range(moments):
            await anyio.lowlevel.checkpoint()
    with anyio.fail_after(5):
        await run.uses.wait_unused()


@pytest.mark.anyio
async def test_a_run_knows_itself_also_in_threads() -> None:
    def names() -> list[str]:
        run = current_run.get()
        assert run
        return [run.run_id, run.streaming_components]

    async def names_async() -> list[str]:
        return [*names(), *await asyncio.to_thread(names)]

    async with executing(streaming_components="all") as executor:
        assert await executor.start(run_of(names)).all_events() == [RunFinished(["r1", "all"])]
        assert await executor.start(run_of(names_async)).all_events() == [
            RunFinished(["r1", "all"] * 2)
        ]
    assert current_run.get() is None


def asks() -> str:
    return calculator().run(messages=USER)["last_message"].text


async def asks_async() -> str:
    return (await calculator().run_async(messages=USER))["last_message"].text


def streams() -> Any:
    return streaming_generator(calculator(), pipeline_run_args={"messages": USER})


async def streams_async() -> Any:
    return async_streaming_generator(calculator(), pipeline_run_args={"messages": USER})


@pytest.mark.anyio
@pytest.mark.parametrize("method", [asks, asks_async, streams, streams_async])
async def test_the_model_calls_of_a_run_are_counted(method: Callable[[], Any]) -> None:
    count_usage()
    async with executing() as executor:
        lives = [executor.start(run_of(method)) for _ in range(5)]
        for live in lives:
            closing = (await live.all_events())[-1]
            assert isinstance(closing, RunFinished)
            assert closing.usage == Usage(input_tokens=3, output_tokens=6)


@pytest.mark.anyio
async def test_a_run_without_a_model_has_no_usage() -> None:
    count_usage()
    [closing] = await events_of(lambda: chat(("shout", Shout())).run({"query": "a"}))
    assert isinstance(closing, RunFinished)
    assert closing.usage is None


@asynccontextmanager
async def apart(function: Callable[..., Any], /) -> AsyncGenerator[Run]:
    """A run on an event loop of its deployment's own."""
    own, run = OwnLoop("it"), run_of(function)
    run.method = replace(run.method, loop=own)
    yield run
    own.close()
    await anyio.to_thread.run_sync(own.thread.join)


async def thread_names() -> AsyncGenerator[str]:
    yield threading.current_thread().name


def names_in_a_thread() -> Generator[str]:
    yield threading.current_thread().name


@pytest.mark.anyio
async def test_async_code_runs_on_its_deployments_own_loop() -> None:
    async def in_a_thread() -> Any:
        return names_in_a_thread()

    async def where() -> str:
        return threading.current_thread().name

    def from_a_thread() -> Any:
        return thread_names()

    async with executing() as executor:
        own = [StreamOpened(), TextDelta("hayserve loop of it"), RunFinished()]
        for function, said in (
            (where, [RunFinished("hayserve loop of it")]),
            (thread_names, own),
            (from_a_thread, own),
            (in_a_thread, [StreamOpened(), TextDelta("hayserve run"), RunFinished()]),
        ):
            async with apart(function) as run:
                assert await executor.start(run).all_events() == said


@pytest.mark.anyio
async def test_a_failure_on_its_own_loop_is_the_runs() -> None:
    async def fail() -> None:
        raise ValueError("no")

    async with executing() as executor, apart(fail) as run:
        [failed] = await executor.start(run).all_events()
        assert isinstance(failed, RunFailed)
        assert failed.error.message.endswith("ValueError: no.")


@pytest.mark.anyio
async def test_a_run_on_its_own_loop_is_cancelled_there_and_counts_until_it_ended() -> None:
    begun, go, ended = threading.Event(), threading.Event(), threading.Event()

    async def slow_to_end() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.to_thread(go.wait)
            ended.set()

    async with executing() as executor, apart(slow_to_end) as run:
        live = executor.start(run)
        assert executor.run_of(run.id) is run
        await anyio.to_thread.run_sync(begun.wait)
        assert live.cancel()
        assert await live.all_events() == [RunCancelled("cancelled")]
        assert run.uses.count == 1
        go.set()
        await run.uses.wait_unused()
        assert ended.is_set()
        assert executor.run_of(run.id) is None


@pytest.mark.anyio
async def test_a_run_that_is_cancelled_before_its_own_loop_came_to_it_never_begins() -> None:
    go, ran = threading.Event(), list[str]()

    async def never() -> None:
        ran.append("it")

    async def hold() -> None:
        go.wait()

    async with executing() as executor, apart(never) as run:
        assert run.method.loop is not None
        run.method.loop.start(hold())
        executor.start(run).cancel()
        go.set()
        await run.uses.wait_unused()
    assert ran == []
