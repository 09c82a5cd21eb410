"""Wrappers' code is called where it can neither raise nor hang into the server."""

import threading
from collections.abc import Awaitable

import anyio
import pytest

from hayserve.wrappers.calling import call, in_thread, is_being_cancelled
from hayserve.wrappers.escaped import Escaped

pytestmark = pytest.mark.anyio


async def thread_async(text: str = "") -> tuple[str, int]:
    return text, threading.get_ident()


def thread(text: str = "") -> tuple[str, int]:
    return text, threading.get_ident()


def thread_later(text: str = "") -> Awaitable[tuple[str, int]]:
    return thread_async(text)


async def test_sync_code_runs_in_a_thread() -> None:
    text, ident = await call(thread, text="a")
    assert text == "a"
    assert ident != threading.get_ident()


async def test_async_code_runs_on_the_event_loop() -> None:
    assert await call(thread_async, text="a") == ("a", threading.get_ident())
    assert await call(thread_later, text="b") == ("b", threading.get_ident())


async def test_what_the_event_loop_takes_for_its_own_does_not_leave_the_thread() -> None:
    def leave() -> None:
        raise KeyboardInterrupt

    with pytest.raises(Escaped) as escaped:
        await in_thread(leave)
    assert isinstance(escaped.value.__cause__, KeyboardInterrupt)


async def test_a_thread_that_hangs_is_given_up() -> None:
    go = threading.Event()
    with anyio.move_on_after(0.05) as scope:
        await in_thread(go.wait)
    assert scope.cancelled_caught
    go.set()


async def test_a_task_knows_when_it_is_being_cancelled() -> None:
    heard: list[bool] = [is_being_cancelled()]
    with anyio.CancelScope() as scope:
        scope.cancel()
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            heard.append(is_being_cancelled())
            raise
    assert heard == [False, True]
