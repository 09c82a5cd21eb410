"""Executes runs: the one place where a wrapper's code is called.

Every protocol comes through here. A run is any number of events and exactly one closing event.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from contextlib import asynccontextmanager, suppress
from inspect import isawaitable
from typing import Any

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup

from hayserve.errors import HayserveError, InvalidRequest, NotReady, WrapperRefused
from hayserve.events import (
    Closing,
    RunCancelled,
    RunFailed,
    RunFinished,
    StreamOpened,
)
from hayserve.runs.channel import Channel, ChannelClosed
from hayserve.runs.live import LiveRun, Stop
from hayserve.runs.run import Run
from hayserve.wrappers.context import RunContext, current_run
from hayserve.wrappers.escaped import contained, original
from hayserve.wrappers.items import Items, stream_in
from hayserve.wrappers.refusal import failure_of
from hayserve.wrappers.streaming import PipelineStream

logger = logging.getLogger("hayserve.runs")


class Executor:
    """Runs wrappers, the sync ones in threads of their own, the async ones on the event loop.

    Runs belong to the executor and not to the request that asked for them.

    Args:
        threads: How many sync runs may be under way at once; more wait.
        streaming_components: Which components stream where a wrapper does not say (see
            `streaming_generator`).
        show_tracebacks: Whether callers are given the traceback of a wrapper that failed.
    """

    def __init__(
        self,
        *,
        threads: int = 512,
        streaming_components: str = "",
        show_tracebacks: bool = False,
    ) -> None:
        self._limiter = anyio.CapacityLimiter(threads)
        self._streaming_components = streaming_components
        self._show_tracebacks = show_tracebacks
        self._tasks: TaskGroup | None = None

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Take runs for as long as the block lasts; leaving it cancels what is still under way."""
        async with anyio.create_task_group() as tasks:
            self._tasks = tasks
            try:
                yield
            finally:
                self._tasks = None
                tasks.cancel_scope.cancel()

    def start(self, run: Run) -> LiveRun:
        """Start `run`; its events come through the channel of what is returned.

        From here on it holds its deployment.

        Raises:
            NotReady: The executor is not running.
        """
        if self._tasks is None:
            raise NotReady("The server is stopping.", hint="Try again in a moment.")
        stop = Stop()
        live = LiveRun(run, Channel(), stop)
        self._tasks.start_soon(self._execute, live, stop)
        run.uses.take()  # here and not in the task: in between, the deployment could be closed
        return live

    async def _execute(self, live: LiveRun, stop: Stop) -> None:
        """Never raises: what comes out of one task of a task group ends all the others."""
        try:
            if not stop.cancel_called:
                await self._run(live, stop)
        finally:
            live.run.uses.give_back()

    async def _run(self, live: LiveRun, stop: Stop) -> None:
        context = RunContext(live.run.id, streaming_components=self._streaming_components)
        current_run.set(context)
        with stop:
            ending = await self._ending_of(live, context)
        with suppress(ChannelClosed):
            live.channel.emit(ending)
        live.channel.close()

    async def _ending_of(self, live: LiveRun, context: RunContext) -> Closing:
        run = live.run
        try:
            result = await self._result_of(run, live.channel)
        except ChannelClosed:
            return RunCancelled()
        except BaseException as error:  # noqa: BLE001 - user code: anything can come out of it
            if isinstance(error, asyncio.CancelledError):
                if live.scope.cancel_called:
                    return RunCancelled()
                if self._tasks is None:
                    return RunCancelled("the server is stopping")
            failure = failure_of(
                original(error),
                name=run.deployment,
                method=run.method.name,
                run_id=run.id,
                show_traceback=self._show_tracebacks,
            )
            _log(run, failure)
            return RunFailed(failure)
        return RunFinished(result, usage=context.usage)

    async def _result_of(self, run: Run, channel: Channel) -> Any:
        if run.method.is_async:
            value = run.method.function(**run.arguments)
        else:
            value = await self._in_thread(run, _call, run, channel)
        if isawaitable(value):
            value = await value
        stream = stream_in(value)
        if stream is None:
            return value
        if stream.items is not None:
            await self._in_thread(run, _pump, stream.items, stream.sse, channel)
        if stream.async_items is not None:
            await _pump_async(stream.async_items, stream.sse, channel)
        return None

    async def _in_thread(self, run: Run, function: Callable[..., Any], *args: Any) -> Any:
        """Call `function` in a thread, which counts and holds the deployment until it ends.

        That may be long after its run was cancelled.
        """
        loop = asyncio.get_running_loop()
        borrower = object()
        tickets = [borrower]  # for the thread to begin, or for its run to give it up

        def release() -> None:
            self._limiter.release_on_behalf_of(borrower)
            run.uses.give_back()

        def work() -> Any:
            if not _is_taken(tickets):
                return None
            try:
                return contained(function, ChannelClosed)(*args)
            finally:
                with suppress(RuntimeError):  # the event loop is gone
                    loop.call_soon_threadsafe(release)

        await self._limiter.acquire_on_behalf_of(borrower)
        run.uses.take()
        try:
            return await anyio.to_thread.run_sync(
                work, abandon_on_cancel=True, limiter=anyio.CapacityLimiter(1)
            )
        finally:
            if _is_taken(tickets):
                release()


def _is_taken(tickets: list[object]) -> bool:
    """Take the one ticket; only one thread gets it."""
    with suppress(IndexError):
        tickets.pop()
        return True
    return False


def _call(run: Run, channel: Channel) -> Any:
    """Call a sync method, and read its stream in the same thread if it returns one."""
    value = run.method.function(**run.arguments)
    stream = stream_in(value)
    if stream is None or stream.items is None:
        return value
    _pump(stream.items, stream.sse, channel)
    return None


def _pump(source: Iterator[Any], sse: bool, channel: Channel) -> None:  # noqa: FBT001 - goes through a thread
    channel.emit(StreamOpened(sse=sse))
    put = _emitter(channel)
    if isinstance(source, PipelineStream):
        source.drive(put)
        return
    try:
        for item in source:
            put(item)
    finally:
        if isinstance(source, Generator):
            source.close()


async def _pump_async(source: AsyncIterator[Any], sse: bool, channel: Channel) -> None:  # noqa: FBT001 - as above
    channel.emit(StreamOpened(sse=sse))
    put = _emitter(channel)
    try:
        async for item in source:
            put(item)
            await channel.room()
    finally:
        if isinstance(source, AsyncGenerator):
            await source.aclose()


def _emitter(channel: Channel) -> Callable[[object], None]:
    events_of = Items().events_of

    def put(item: object) -> None:
        for event in events_of(item):
            channel.emit(event)

    return put


def _log(run: Run, failure: HayserveError) -> None:
    """The caller gets the failure; the operator, here and only here, the traceback."""
    if isinstance(failure, WrapperRefused | InvalidRequest):
        return
    known = {"run_id": run.id, "deployment": run.deployment, "method": run.method.name}
    try:
        logger.error("run_failed", extra=known, exc_info=failure.__cause__)
    except BaseException:  # noqa: BLE001 - user code: an exception may fail to be printed
        logger.error("run_failed", extra={**known, "why": failure.message})  # noqa: TRY400
