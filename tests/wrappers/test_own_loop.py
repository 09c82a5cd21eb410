"""An event loop of its own runs what is given to it, survives it, and ends."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Generator
from contextlib import contextmanager

import anyio
import anyio.to_thread
import pytest
from starlette.types import Message, Receive, Scope, Send

from hayserve.wrappers.own_loop import OwnLoop, on

pytestmark = pytest.mark.anyio


@contextmanager
def own_loop() -> Generator[OwnLoop]:
    own = OwnLoop("it")
    try:
        yield own
    finally:
        own.close()


async def ended(own: OwnLoop) -> None:
    with anyio.fail_after(10):
        await anyio.to_thread.run_sync(own.thread.join)


async def where() -> threading.Thread:
    return threading.current_thread()


async def test_work_is_done_in_its_thread_or_right_here() -> None:
    with own_loop() as own:
        assert await on(own, where()) is own.thread
        assert await on(None, where()) is threading.current_thread()
        assert own.thread.name == "hayserve loop of it"
        assert own.computed() >= 0
    await ended(own)


async def test_what_work_raises_is_raised_where_it_is_awaited() -> None:
    async def fail() -> None:
        raise ValueError("no")

    with own_loop() as own, pytest.raises(ValueError, match="no"):
        await own.run(fail())
    await ended(own)


async def test_work_is_cancelled_with_whoever_awaits_it() -> None:
    stopped = threading.Event()

    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    with own_loop() as own:
        with anyio.move_on_after(0.05):
            await own.run(wait())
        assert await anyio.to_thread.run_sync(stopped.wait, 10)
    await ended(own)


async def test_a_task_that_wants_to_end_the_process_ends_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def leave() -> None:
        raise SystemExit(3)

    with own_loop() as own:
        own.start(leave())
        assert await own.run(where()) is own.thread
    await ended(own)
    [record] = [one for one in caplog.records if one.name == "hayserve.wrappers"]
    assert record.getMessage() == "own_loop_interrupted"
    assert vars(record)["deployment"] == "it"


async def test_what_is_left_on_it_is_ended_with_it() -> None:
    closed: list[str] = []
    begun = threading.Event()

    async def numbers() -> AsyncGenerator[int]:
        try:
            yield 1
        finally:
            closed.append("generator")

    async def stay() -> None:
        kept = numbers()
        await anext(kept)
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            closed.append("task")

    own = OwnLoop("it")
    own.start(stay())
    await anyio.to_thread.run_sync(begun.wait)
    own.close()
    await ended(own)
    own.close()
    assert closed == ["task", "generator"]
    assert own.loop.is_closed()


async def test_an_application_answers_there_what_is_served_here() -> None:
    here = threading.current_thread()
    seen: list[threading.Thread] = []
    sent: list[Message] = []

    async def app(_: Scope, receive: Receive, send: Send) -> None:
        seen.append(threading.current_thread())
        await send(await receive())

    async def receive() -> Message:
        seen.append(threading.current_thread())
        return {"type": "said"}

    async def send(message: Message) -> None:
        seen.append(threading.current_thread())
        sent.append(message)

    with own_loop() as own:
        await own.answer(app, {"type": "http"}, receive=receive, send=send)
    await ended(own)
    assert sent == [{"type": "said"}]
    assert seen == [own.thread, here, here]
