"""What becomes of a call of a wrapper's method."""

import asyncio
import random
import threading
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import replace
from functools import partial
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
from fastapi import HTTPException as FastAPIException
from haystack import component
from haystack.components.agents import Agent
from haystack.dataclasses import ChatMessage, ToolCall
from haystack.tools.tool import Tool
from starlette.exceptions import HTTPException

from hayserve.errors import (
    InvalidRequest,
    NotReady,
    RunTimedOut,
    TooBusy,
    WrapperFailed,
    WrapperRefused,
)
from hayserve.events import (
    BytesDelta,
    Closing,
    RunCancelled,
    RunFailed,
    RunFinished,
    StreamOpened,
    TextDelta,
    Usage,
)
from hayserve.runs import execute
from hayserve.runs.execute import Executor
from hayserve.runs.live import LiveRun
from hayserve.runs.run import Run
from hayserve.wrappers.base import SSEStream
from hayserve.wrappers.context import current_run
from hayserve.wrappers.own_loop import OwnLoop
from hayserve.wrappers.run_limits import RunLimits
from hayserve.wrappers.streaming import async_streaming_generator, streaming_generator
from hayserve.wrappers.usage import count_usage
from runs.running import Gate, emptied, events_of, executing, own, quiet, run_of, until
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


# ---- limits


def limited(function: Callable[..., Any], name: str = "r1", **limits: float) -> Run:
    return replace(run_of(function), id=name, limits=RunLimits.of(limits))


@pytest.mark.anyio
async def test_runs_beyond_the_limit_wait_and_begin_in_their_turn() -> None:
    gates = {name: Gate() for name in "abc"}
    begun: list[str] = []

    async def works(name: str) -> str:
        begun.append(name)
        await gates[name].pass_async()
        return name

    async with executing(max_runs=1) as executor:
        lives = [executor.start(run_of(works, name=name)) for name in "abc"]
        await quiet()
        assert begun == ["a"]
        assert [state.stage for state in executor.live()] == ["running", "waiting", "waiting"]
        for name, live in zip("abc", lives, strict=True):
            await gates[name].reached()
            gates[name].open()
            assert await live.all_events() == [RunFinished(name)]
        assert begun == ["a", "b", "c"]


@pytest.mark.anyio
async def test_a_run_for_which_there_is_no_room_to_wait_is_refused_and_holds_nothing() -> None:
    gate = Gate()
    async with executing(max_runs=1, max_waiting=1) as executor:
        executor.start(run_of(gate.pass_async))
        executor.start(run_of(async_plain))
        refused = run_of(async_plain)
        with pytest.raises(TooBusy):
            executor.start(refused)
        assert refused.uses.count == 0
        assert len(executor.live()) == 2
        gate.open()
        await emptied(executor)
        assert await executor.start(refused).all_events() == [RunFinished("x")]


@pytest.mark.anyio
async def test_a_waiting_run_that_is_cancelled_never_begins() -> None:
    gate, begun = Gate(), list[str]()

    async def works() -> None:
        begun.append("it")

    run = run_of(works)
    async with executing(max_runs=1) as executor:
        executor.start(run_of(gate.pass_async))
        live = executor.start(run)
        assert live.cancel("enough")
        assert await live.all_events() == [RunCancelled("enough")]
        assert (run.uses.count, len(executor.live())) == (0, 1)
        gate.open()
        await emptied(executor)
    assert begun == []


where: ContextVar[str] = ContextVar("where", default="nowhere")


@pytest.mark.anyio
@pytest.mark.parametrize("first_is_async", [False, True])
@pytest.mark.parametrize("second_is_async", [False, True])
async def test_a_run_that_waited_sees_the_variables_of_its_own_caller(
    first_is_async: bool, second_is_async: bool
) -> None:
    gate = Gate()

    def first() -> None:
        where.set("the other run")
        gate()

    async def first_async() -> None:
        where.set("the other run")
        await gate.pass_async()

    def second() -> str:
        return where.get()

    async def second_async() -> str:
        return where.get()

    async with executing(max_runs=1) as executor:
        where.set("the other caller")
        executor.start(run_of(first_async if first_is_async else first))
        where.set("its caller")
        live = executor.start(run_of(second_async if second_is_async else second))
        where.set("later")
        await gate.reached()
        gate.open()
        assert await live.all_events() == [RunFinished("its caller")]


def no_thread(_: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


@pytest.mark.anyio
async def test_without_threads_runs_are_refused_and_others_go_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def gives_a_generator() -> Any:
        return generator()

    async with executing(max_runs=1) as executor:
        with monkeypatch.context() as full:
            full.setattr(threading.Thread, "start", no_thread)
            refused = [executor.start(run_of(plain)) for _ in range(300)]
            refused.append(executor.start(run_of(gives_a_generator)))
            last = executor.start(run_of(async_plain))
            for live in refused:
                [closing] = await live.all_events()
                assert isinstance(closing, RunFailed)
                assert isinstance(closing.error, TooBusy)
            assert await last.all_events() == [RunFinished("x")]
            await emptied(executor)
        assert await executor.start(run_of(plain)).all_events() == [RunFinished("x")]
    assert {record.message for record in own(caplog.records)} == {"no_more_threads"}


# ---- deadlines


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the runs looked at more often than they need be."""
    monkeypatch.setattr(execute, "LOOK_SECONDS", 0.005)


def timed_out(closing: object) -> RunTimedOut:
    assert isinstance(closing, RunFailed)
    assert isinstance(closing.error, RunTimedOut)
    return closing.error


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("server", "deployment", "request_", "allowed"),
    [
        (0, None, None, None),
        (0, 0, None, None),
        (50, None, None, 50),
        (50, 0, None, None),
        (50, 70, None, 70),
        (0, 70, None, 70),
        (0, None, 30, 30),
        (50, None, 30, 30),
        (50, None, 60, 50),
        (50, 70, 60, 60),
        (50, 70, 80, 70),
        (50, 0, 80, 80),
    ],
)
async def test_a_request_may_allow_less_time_and_never_more(
    server: float, deployment: float | None, request_: float | None, *, allowed: float | None
) -> None:
    run = run_of(async_plain)
    run.limits, run.timeout = RunLimits(run_timeout=deployment), request_
    async with executing(run_timeout=server) as executor:
        executor.start(run)
        [state] = executor.live()
        left = state.deadline_in_seconds
        assert (left is None) == (allowed is None)
        if left is not None and allowed is not None:
            assert allowed - 1 < left <= allowed


@pytest.mark.anyio
@pytest.mark.usefixtures("often")
async def test_an_async_run_past_its_deadline_is_cancelled_and_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    cleaned_up: list[str] = []

    async def works() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cleaned_up.append("up")

    async with executing() as executor:
        [closing] = await executor.start(limited(works, run_timeout=0.02)).all_events()
        error = timed_out(closing)
        assert error.message == "'it' did not answer within 0.02 seconds."
        assert "`x-run-timeout`" in error.hint
        await emptied(executor)
    assert cleaned_up == ["up"]
    [record] = own(caplog.records)
    told = record.__dict__
    assert (record.message, told["run_id"], told["seconds"]) == ("run_timed_out", "r1", 0.02)


@pytest.mark.anyio
@pytest.mark.usefixtures("often")
async def test_a_sync_run_past_its_deadline_is_answered_and_shown_until_its_thread_ends(
    caplog: pytest.LogCaptureFixture,
) -> None:
    gate = Gate()
    run = limited(gate, run_timeout=0.02)
    async with executing() as executor:
        [closing] = await executor.start(run).all_events()
        timed_out(closing)
        [state] = executor.live()
        assert state.cancelled
        assert state.deadline_in_seconds is not None
        assert state.deadline_in_seconds <= 0
        await anyio.sleep(0.02)  # it is looked at again
        assert [record.message for record in own(caplog.records)] == ["run_timed_out"]
        assert run.uses.count == 1
        gate.open()
        await emptied(executor)
        assert run.uses.count == 0


@pytest.mark.anyio
@pytest.mark.usefixtures("often")
@pytest.mark.parametrize("is_async", [False, True])
async def test_a_stream_past_its_deadline_ends_with_that(is_async: bool) -> None:
    gate = Gate()

    def works() -> Generator[str]:
        yield "a"
        gate()
        yield "b"

    async def works_async() -> AsyncGenerator[str]:
        yield "a"
        await gate.pass_async()
        yield "b"

    run = limited(works_async if is_async else works, run_timeout=0.05)
    async with executing() as executor:
        *said, closing = await executor.start(run).all_events()
        assert said == [StreamOpened(), TextDelta("a")]
        timed_out(closing)
        gate.open()
        await emptied(executor)


@pytest.mark.anyio
@pytest.mark.usefixtures("often")
async def test_waiting_counts_and_a_run_may_run_out_of_time_before_it_begins() -> None:
    gate, begun = Gate(), list[str]()

    async def works() -> None:
        begun.append("it")

    run = limited(works, run_timeout=0.02)
    async with executing(max_runs=1) as executor:
        executor.start(run_of(gate.pass_async))
        [closing] = await executor.start(run).all_events()
        assert timed_out(closing).message == (
            "'it' did not answer within 0.02 seconds. It was still waiting for its turn."
        )
        assert (run.uses.count, len(executor.live())) == (0, 1)
        gate.open()
        await emptied(executor)
    assert begun == []


@pytest.mark.anyio
@pytest.mark.usefixtures("often")
async def test_the_time_counts_from_the_arrival_of_the_request() -> None:
    run = limited(asyncio.Event().wait, run_timeout=100)
    run.arrived = asyncio.get_running_loop().time() - 100
    async with executing() as executor:
        live = executor.start(run)
        assert executor.live()[0].age_seconds >= 100
        timed_out((await live.all_events())[-1])


@pytest.mark.anyio
@pytest.mark.usefixtures("often")
async def test_a_run_that_lasts_says_so_once_and_not_in_the_context_of_another() -> None:
    told: list[str] = []
    gate = Gate()
    where.set("another request")
    async with executing() as executor:
        live = executor.start(run_of(gate.pass_async))
        live.when_lasting = lambda: told.append(where.get())
        await until(lambda: told)
        assert live.when_lasting is None
        gate.open()
        await live.all_events()
        await emptied(executor)
        await anyio.sleep(0.02)  # nobody looks when there is nothing to look at
        again = executor.start(run_of(gate.pass_async))
        again.when_lasting = lambda: told.append("again")
        await again.all_events()
    assert told[0] == "nowhere"


# ---- what is under way


@pytest.mark.anyio
async def test_a_run_is_shown_with_all_that_is_known_of_it() -> None:
    gate = Gate()
    run = replace(run_of(gate.pass_async), number=3, streamed=True, caller="10.0.0.1", timeout=60)
    async with executing() as executor:
        assert executor.live() == []
        live = executor.start(run)
        [state] = executor.live()
        known = (state.id, state.deployment, state.revision, state.method, state.caller)
        assert known == ("r1", "it", 3, "run_api", "10.0.0.1")
        assert (state.streamed, state.stage, state.cancelled) == (True, "running", False)
        assert 0 <= state.age_seconds < 10
        assert state.deadline_in_seconds
        gate.open()
        await live.all_events()
        await emptied(executor)


@pytest.mark.anyio
async def test_a_run_is_cancelled_by_its_id_and_its_caller_told_why() -> None:
    async with executing() as executor:
        runs = [replace(run_of(asyncio.Event().wait), id=name) for name in "ab"]
        first, second = [executor.start(run) for run in runs]
        assert executor.cancel("a", reason="cancelled by Ada")
        assert await first.all_events() == [RunCancelled("cancelled by Ada")]
        await until(lambda: [state.id for state in executor.live()] == ["b"])
        assert not executor.cancel("a", reason="again")
        assert not executor.cancel("nobody", reason="x")
        assert executor.run_of("b") is second.run


@component
class Pausing:
    """A model, or any component, that waits at a gate."""

    def __init__(self, gate: Gate, *replies: ChatMessage) -> None:
        self.gate = gate
        self.replies = list(replies)
        self.calls = 0

    @component.output_types(replies=list[ChatMessage])
    def run(self, messages: Any, tools: Any = None, streaming_callback: Any = None) -> Any:
        self.calls += 1
        self.gate()
        return {"replies": [self.replies.pop(0)]}

    @component.output_types(replies=list[ChatMessage])
    async def run_async(
        self, messages: Any, tools: Any = None, streaming_callback: Any = None
    ) -> Any:
        self.calls += 1
        await self.gate.pass_async()
        return {"replies": [self.replies.pop(0)]}


def asks_for_tool() -> ChatMessage:
    return ChatMessage.from_assistant(tool_calls=[ToolCall("search", {}, id="c1")])


class Searching:
    """An agent that asks its model, searches, and asks its model again."""

    def __init__(self) -> None:
        self.thinks, self.searches = Gate(), Gate()
        self.model = Pausing(self.thinks, asks_for_tool(), ChatMessage.from_assistant("found"))

        def search() -> str:
            self.searches()
            return "all"

        tool = Tool("search", "Searches.", {"type": "object", "properties": {}}, search)
        self.agent = Agent(chat_generator=self.model, tools=[tool])

    def ask(self) -> str:
        return self.agent.run(messages=USER)["last_message"].text

    async def ask_async(self) -> str:
        return (await self.agent.run_async(messages=USER))["last_message"].text

    def stream(self) -> Any:
        return streaming_generator(self.agent, pipeline_run_args={"messages": USER})

    async def stream_async(self) -> Any:
        return async_streaming_generator(self.agent, pipeline_run_args={"messages": USER})


FORMS = [Searching.ask, Searching.ask_async, Searching.stream, Searching.stream_async]


@pytest.mark.anyio
@pytest.mark.parametrize("form", FORMS)
async def test_the_stage_of_an_agent_is_told(form: Callable[[Searching], Any]) -> None:
    count_usage()
    searching = Searching()
    async with executing() as executor:
        live = executor.start(run_of(form.__get__(searching)))
        await searching.thinks.reached()
        assert executor.live()[0].stage == "model"
        searching.thinks.open()
        await searching.searches.reached()
        assert executor.live()[0].stage == "tool: search"
        searching.searches.open()
        said = await live.all_events()
    assert RunFinished("found") in said or TextDelta("found") in said


@pytest.mark.anyio
async def test_the_stage_of_a_pipeline_is_its_component() -> None:
    count_usage()
    gate = Gate()
    pipeline = chat(("writer", Pausing(gate, ChatMessage.from_assistant("x"))))

    def works() -> None:
        pipeline.run({"writer": {"messages": USER}})
        gate_after()

    gate_after = Gate()
    async with executing() as executor:
        executor.start(run_of(works))
        await gate.reached()
        assert executor.live()[0].stage == "component: writer"
        gate.open()
        await gate_after.reached()
        assert executor.live()[0].stage == "running"
        gate_after.open()
        await emptied(executor)


@pytest.mark.anyio
@pytest.mark.parametrize("form", [Searching.ask, Searching.stream])
async def test_a_sync_agent_that_is_stopped_takes_no_further_step(
    form: Callable[[Searching], Any], caplog: pytest.LogCaptureFixture
) -> None:
    count_usage()
    searching = Searching()
    searching.thinks.open()
    async with executing() as executor:
        live = executor.start(run_of(form.__get__(searching)))
        await searching.searches.reached()
        live.cancel()
        [state] = executor.live()
        assert (state.cancelled, state.stage) == (True, "tool: search")
        searching.searches.open()
        await emptied(executor)
    assert searching.model.calls == 1
    assert own(caplog.records) == []


# ---- the end of every run


async def gives_generator() -> Any:
    return generator()


def gives_async_generator() -> Any:
    return async_generator()


def gives_coroutine() -> Any:
    return async_plain()


def gives_pipeline() -> Any:
    return streaming_generator(words(50)[1], pipeline_run_args={"query": ""})


async def gives_async_pipeline() -> Any:
    return async_streaming_generator(words(50)[1], pipeline_run_args={"query": ""})


def breaks() -> None:
    raise ValueError("broke")


async def breaks_async() -> None:
    breaks()


def breaks_midway() -> Generator[str]:
    yield "a"
    breaks()


async def breaks_midway_async() -> AsyncGenerator[str]:
    yield "a"
    breaks()


METHODS: list[Callable[[], Any]] = [
    plain,
    async_plain,
    generator,
    async_generator,
    gives_generator,
    gives_async_generator,
    gives_coroutine,
    gives_pipeline,
    gives_async_pipeline,
    breaks,
    breaks_async,
    breaks_midway,
    breaks_midway_async,
]


async def nothing_is_left(executor: Executor, run: Run) -> None:
    """One run may begin, and only one: its slot was given back, once."""
    await emptied(executor)
    assert run.uses.count == 0
    gate, other = Gate(), Gate()
    executor.start(run_of(gate))
    waiting = executor.start(run_of(other.pass_async))
    await gate.reached()
    assert [state.stage for state in executor.live()] == ["running", "waiting"]
    gate.open()
    other.open()
    await waiting.all_events()
    await emptied(executor)


@pytest.mark.anyio
@pytest.mark.parametrize("method", METHODS)
async def test_a_run_gives_back_what_it_held_once_however_it_ends(
    method: Callable[[], Any],
) -> None:
    async with executing(max_runs=1, threads=1) as executor:
        run = run_of(method)
        await executor.start(run).all_events()
        await nothing_is_left(executor, run)
        for moments in range(12):
            run = run_of(method)
            live = executor.start(run)
            for _ in range(moments):
                await anyio.lowlevel.checkpoint()
            live.cancel()
            live.cancel()
            await nothing_is_left(executor, run)


def run_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "hayserve run"}


@pytest.mark.anyio
async def test_a_thousand_runs_that_are_cancelled_at_random_leave_nothing() -> None:
    chance = random.Random(7)
    threads, tasks = run_threads(), len(asyncio.all_tasks())
    runs = [run_of(chance.choice(METHODS)) for _ in range(1000)]
    async with executing(max_runs=20, max_waiting=1000, threads=8) as executor:
        lives: list[LiveRun] = []
        for number, run in enumerate(runs):
            lives.append(executor.start(run))
            for _ in range(chance.randrange(3)):
                await anyio.lowlevel.checkpoint()
            chance.choice(lives[-40:]).cancel()
            if number % 50 == 0:
                assert sum(state.stage != "waiting" for state in executor.live()) <= 20
        for live in chance.sample(lives, 500):
            live.cancel()
        endings = [(await live.all_events())[-1] for live in lives]
        assert all(isinstance(ending, Closing) for ending in endings)
        assert any(isinstance(ending, RunCancelled) for ending in endings)
        await emptied(executor)
        assert [run.uses.count for run in runs] == [0] * 1000
        await quiet()
        assert len(asyncio.all_tasks()) == tasks
        assert len(run_threads() - threads) <= 20
    await until(lambda: run_threads() <= threads)


@pytest.mark.anyio
async def test_a_server_that_ran_nothing_stops() -> None:
    async with executing() as executor:
        assert executor.live() == []


class Unprintable(Exception):
    def __str__(self) -> str:
        raise SystemExit(3)


class Mute(Exception):
    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)


@pytest.mark.anyio
@pytest.mark.parametrize("make", [Unprintable, Mute])
async def test_an_exception_that_cannot_be_printed_is_logged_all_the_same(
    make: Callable[[], Exception], caplog: pytest.LogCaptureFixture
) -> None:
    [closing] = await events_of(fails(make())[0])
    assert isinstance(closing, RunFailed)
    assert {record.message for record in own(caplog.records)} == {"run_failed"}


@pytest.mark.anyio
async def test_a_server_that_stops_closes_the_runs_that_wait_too() -> None:
    gate = Gate()
    runs = [run_of(gate.pass_async), run_of(plain), run_of(async_plain)]
    async with executing(max_runs=1) as executor:
        lives = [executor.start(run) for run in runs]
        await gate.reached()
    for live in lives:
        assert await live.all_events() == [RunCancelled("the server is stopping")]
    assert [run.uses.count for run in runs] == [0, 0, 0]


@pytest.mark.anyio
async def test_a_task_that_does_not_let_itself_be_cancelled_does_not_keep_the_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(execute, "SECONDS_TO_CLEAN_UP", 0.01)
    gate = Gate()

    async def stubborn() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await gate.pass_async()

    run = run_of(stubborn)
    async with executing() as executor:
        live = executor.start(run)
        await quiet()
    assert await live.all_events() == [RunCancelled("the server is stopping")]
    assert run.uses.count == 1
    gate.open()
    with anyio.fail_after(5):
        await run.uses.wait_unused()
