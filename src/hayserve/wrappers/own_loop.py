"""An event loop in a thread of its own, for the async code of one deployment."""

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar, cast

from starlette.types import ASGIApp, Receive, Scope, Send

logger = logging.getLogger("hayserve.wrappers")

R = TypeVar("R")

# How long what still runs there has to end, when nobody wants it any more.
SECONDS_TO_END = 5.0


class OwnLoop:
    """Runs coroutines on an event loop of the same kind as the one that makes this.

    What its code blocks is this loop and no other. Its thread begins at once and ends after
    `close`; if code there never returns, the thread stays, and does not keep the process.

    Args:
        name: Whose it is, for the log and the names of threads.
    """

    computed: Callable[[], float]
    """How long its thread has computed, in seconds."""

    def __init__(self, name: str) -> None:
        kind = cast(Callable[[], asyncio.AbstractEventLoop], type(asyncio.get_running_loop()))
        self.loop = kind()
        self._name = name
        self.computed = time.process_time
        self._tasks: set[asyncio.Task[Any]] = set()
        self._is_ending = False
        self._thread = threading.Thread(
            target=self._live, name=f"hayserve loop of {name}", daemon=True
        )
        self._thread.start()

    @property
    def thread(self) -> threading.Thread:
        return self._thread

    def start(self, work: Coroutine[Any, Any, Any]) -> None:
        """Start `work`, from any thread; it should not raise, because nobody awaits it."""
        self.loop.call_soon_threadsafe(self._start, work)

    async def run(self, work: Coroutine[Any, Any, R]) -> R:
        """Await `work`, from another loop; it is cancelled if this is."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self.loop))

    async def answer(self, app: ASGIApp, scope: Scope, *, receive: Receive, send: Send) -> None:
        """Run an ASGI application here for a request that another loop serves."""
        there = asyncio.get_running_loop()

        async def received() -> Any:
            return await _on(there, receive())

        async def sent(message: Any) -> None:
            await _on(there, send(message))

        await self.run(_awaited(app(scope, received, sent)))

    def close(self) -> None:
        """Let it end, without waiting for that; what still runs on it is cancelled."""
        with suppress(RuntimeError):  # it has ended already
            self.loop.call_soon_threadsafe(self._stop)

    def _start(self, work: Coroutine[Any, Any, Any]) -> None:
        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _stop(self) -> None:
        self._is_ending = True
        self.loop.stop()

    def _live(self) -> None:
        self.computed = computed_here()
        try:
            while not self._is_ending:
                self._survive(self.loop.run_forever)
            self._survive(lambda: self.loop.run_until_complete(self._end()))
        finally:
            self.loop.close()

    def _survive(self, run: Callable[[], object]) -> None:
        try:
            run()
        except BaseException:  # user code: anything can come out of it
            logger.exception("own_loop_interrupted", extra={"deployment": self._name})

    async def _end(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        if others:
            await asyncio.wait(others, timeout=SECONDS_TO_END)
        with suppress(TimeoutError):
            await asyncio.wait_for(self.loop.shutdown_asyncgens(), SECONDS_TO_END)


def computed_here() -> Callable[[], float]:
    """A clock that says, in any thread, how long this one has computed, in seconds.

    Where there is no such clock, that of the process.
    """
    if not hasattr(time, "pthread_getcpuclockid"):  # pragma: no cover - Linux has it
        return time.process_time
    return partial(time.clock_gettime, time.pthread_getcpuclockid(threading.get_ident()))


async def on(own: OwnLoop | None, work: Coroutine[Any, Any, R]) -> R:
    """Await `work` on a loop of its own, or right here if there is none."""
    return await (work if own is None else own.run(work))


async def _on(loop: asyncio.AbstractEventLoop, work: Awaitable[R]) -> R:
    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(_awaited(work), loop))


async def _awaited(work: Awaitable[R]) -> R:
    return await work
