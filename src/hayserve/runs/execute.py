"""Executes runs: the one place where a wrapper's code is called.

Every protocol comes through here. A run is any number of events and exactly one closing event.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from contextvars import Context, copy_context
from functools import partial
from math import inf
from typing import Any

from hayserve.errors import (
    HayserveError,
    InvalidRequest,
    NotReady,
    RunTimedOut,
    TooBusy,
    WrapperRefused,
)
from hayserve.events import STOPPING, RunFailed, RunFinished
from hayserve.runs.admission import Admission
from hayserve.runs.call import Rest, call, call_async, read, read_async
from hayserve.runs.channel import Waker
from hayserve.runs.live import LiveRun
from hayserve.runs.run import Run
from hayserve.runs.state import RunState
from hayserve.runs.threads import Threads
from hayserve.wrappers.context import RunContext, RunEnded, current_run
from hayserve.wrappers.refusal import failure_of

logger = logging.getLogger("hayserve.runs")

WorkAsync = Callable[[], Coroutine[Any, Any, Any]]

SECONDS_TO_CLEAN_UP = 5.0
# How often all runs are looked at: one timer for all costs less than one for each.
LOOK_SECONDS = 0.1


class Executor:
    """Runs wrappers, the sync ones in threads of their own, the async ones on the event loop.

    Those of a deployment that has an event loop of its own run on that.

    Runs belong to the executor and not to the request that asked for them.

    Args:
        threads: How many sync runs may be under way at once.
        max_runs: How many runs may be under way at once.
        max_waiting: How many runs may wait for their turn.
        run_timeout: How long a run may take, its wait included, in seconds; 0 is ever.
        streaming_components: Which components stream where a wrapper does not say (see
            `streaming_generator`).
        show_tracebacks: Whether callers are given the traceback of a wrapper that failed.
    """

    def __init__(
        self,
        *,
        threads: int = 512,
        max_runs: int = 1024,
        max_waiting: int = 1024,
        run_timeout: float = 0,
        streaming_components: str = "",
        show_tracebacks: bool = False,
    ) -> None:
        self._admission = Admission(max_runs=max_runs, max_waiting=max_waiting, threads=threads)
        self._run_timeout = run_timeout
        self._streaming_components = streaming_components
        self._show_tracebacks = show_tracebacks
        self._lives: dict[Run, LiveRun] = {}
        self._contexts: dict[Run, Context] = {}  # of those that wait
        self._threads = Threads()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waker: Waker | None = None
        self._next_look: asyncio.TimerHandle | None = None

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Take runs for as long as the block lasts; leaving it cancels what is still under way."""
        self._loop = asyncio.get_running_loop()
        self._waker = Waker(self._loop)
        try:
            yield
        finally:
            self._loop = None
            if self._next_look is not None:
                self._next_look.cancel()
            for live in list(self._lives.values()):
                live.cancel(STOPPING)
            if self._lives:
                await asyncio.sleep(0)  # whatever is about to begin, begins
            if tasks := self._tasks_here():
                await asyncio.wait(tasks, timeout=SECONDS_TO_CLEAN_UP)
            self._threads.close()

    def start(self, run: Run) -> LiveRun:
        """Start `run`, or let it wait for its turn; its events come through its channel.

        From here on it holds its deployment.

        Raises:
            NotReady: The executor is not running.
            TooBusy: As many runs wait as may.
        """
        loop = self._loop
        try:
            if loop is None:
                raise NotReady("The server is stopping.", hint="Try again in a moment.")
            may_begin = self._admission.enter(run)
        except HayserveError:
            run.bill.drop()
            raise
        now = loop.time()
        live = LiveRun(
            run,
            context=RunContext(
                run.id,
                streaming_components=self._streaming_components,
                asked=run.asked,
                caller=run.identity.caller,
            ),
            started=now if run.arrived is None else run.arrived,
            waker=self._waker,
            on_stop=self._give_up,
        )
        live.may_last = self._may_last(run)
        self._lives[run] = live
        run.uses.take()
        if self._next_look is None:
            self._next_look = loop.call_later(LOOK_SECONDS, self._look, context=Context())
        if may_begin:
            self._begin(live)
        else:  # it will be begun by another run, whose variables are not its own
            self._contexts[run] = copy_context()
        return live

    def live(self) -> Sequence[RunState]:
        """All runs that wait, run, or were told to stop and have not ended."""
        loop = asyncio.get_running_loop()
        return [self._state_of(live, loop) for live in self._lives.values()]

    def run_of(self, run_id: str) -> Run | None:
        """The run of that id, from any thread; None if it has ended."""
        return next((run for run in list(self._lives) if run.id == run_id), None)

    def cancel(self, run_id: str, *, reason: str, owner: str | None = None) -> bool:
        """Tell a run to stop.

        Args:
            run_id: Its id.
            reason: What its caller is told.
            owner: Whose it has to be; None for anybody's.

        Returns:
            Whether there is one of that id.
        """
        found = [
            live
            for run, live in self._lives.items()
            if run.id == run_id and owner in {None, run.identity.owner}
        ]
        for live in found:
            live.cancel(reason)
        return bool(found)

    def _may_last(self, run: Run) -> float:
        """How long a run may take, in seconds."""
        allowed = self._run_timeout if run.limits.run_timeout is None else run.limits.run_timeout
        return min(allowed or inf, run.timeout or inf)

    def _look(self) -> None:
        """Look how long each run has taken."""
        loop = asyncio.get_running_loop()
        self._next_look = loop.call_later(LOOK_SECONDS, self._look) if self._lives else None
        now = loop.time()
        for live in list(self._lives.values()):
            seconds = now - live.started
            if seconds >= LOOK_SECONDS:
                live.lasts()
            if seconds >= live.may_last and live.closing is None:
                self._time_out(live)

    def _time_out(self, live: LiveRun) -> None:
        run, seconds = live.run, live.may_last
        waited = " It was still waiting for its turn." if self._admission.is_waiting(run) else ""
        error = RunTimedOut(
            f"{run.deployment!r} did not answer within {seconds:g} seconds.{waited}",
            hint="Ask for less at once, or allow more time: `run_timeout` of the deployment or of "
            "the server, or the request's `x-run-timeout`.",
        )
        logger.warning("run_timed_out", extra={**_known(run), "seconds": seconds})
        live.stop(RunFailed(error))

    def _state_of(self, live: LiveRun, loop: asyncio.AbstractEventLoop) -> RunState:
        run, age = live.run, loop.time() - live.started
        return RunState(
            id=run.id,
            deployment=run.deployment,
            revision=run.number,
            method=run.method.name,
            streamed=run.streamed,
            caller=run.caller,
            owner=run.identity.owner,
            stage="waiting" if self._admission.is_waiting(run) else live.context.stage,
            age_seconds=age,
            deadline_in_seconds=None if live.may_last == inf else live.may_last - age,
            cancelled=live.closing is not None,
        )

    def _begin(self, live: LiveRun) -> None:
        run, channel = live.run, live.channel
        if run.method.is_async:
            self._in_task(live, partial(call_async, run, channel))
        else:
            self._in_thread(live, partial(call, run, channel))

    def _in_task(self, live: LiveRun, work: WorkAsync, rest: Rest | None = None) -> None:
        loop, own = asyncio.get_running_loop(), live.run.method.loop
        live.parts += 1
        if own is not None:
            own.start(self._work_async(live, work, rest, loop=loop))
        else:
            # The loop holds it until it begins, and from then on the run does.
            loop.create_task(self._work_async(live, work, rest))

    def _tasks_here(self) -> list[asyncio.Task[Any]]:
        """The tasks of runs on the event loop of the server."""
        loop = asyncio.get_running_loop()
        tasks = [live.task for live in self._lives.values() if live.task is not None]
        return [task for task in tasks if task.get_loop() is loop]

    async def _work_async(
        self,
        live: LiveRun,
        work: WorkAsync,
        rest: Rest | None,
        *,
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        """Never raises; `loop` is the executor's if this is another one."""
        current_run.set(live.context)
        if loop is not None:
            live.channel.write_here()
        live.task = asyncio.current_task()
        result = None
        if live.closing is None:
            try:
                result = await work()
            except BaseException as error:  # noqa: BLE001 - user code: anything can come out of it
                result = self._failed(live, error)
        elif rest is not None:
            rest.drop()
        live.task = None
        if loop is None:
            self._worked_async(live, result)
            return
        with suppress(RuntimeError):  # the event loop is gone
            loop.call_soon_threadsafe(self._worked_async, live, result)

    def _worked_async(self, live: LiveRun, result: Any) -> None:
        """A task has ended, the run perhaps not."""
        if isinstance(result, Rest) and live.closing is None:  # else it is not even begun
            self._in_thread(live, partial(read, result.value, live.channel))
        self._part_ended(live, result)

    def _in_thread(self, live: LiveRun, work: Callable[[], Any]) -> None:
        """Do `work` in a thread, which counts and holds the deployment until it ends.

        That may be long after its run was cancelled.
        """
        live.parts += 1
        context = copy_context()
        context.run(current_run.set, live.context)
        loop = asyncio.get_running_loop()
        try:
            self._threads.submit(lambda: context.run(self._work, live, work, loop))
        except RuntimeError:
            logger.exception("no_more_threads", extra=_known(live.run))
            error = TooBusy(
                "The server can start no more threads.", hint="Send the request again later."
            )
            loop.call_soon(self._part_ended, live, RunFailed(error))

    def _work(
        self, live: LiveRun, work: Callable[[], Any], loop: asyncio.AbstractEventLoop
    ) -> None:
        """In a thread; never raises."""
        result = None
        if live.closing is None:
            try:
                result = work()
            except BaseException as error:  # noqa: BLE001 - user code: anything can come out of it
                result = self._failed(live, error)
        with suppress(RuntimeError):  # the event loop is gone
            loop.call_soon_threadsafe(self._worked, live, result)

    def _worked(self, live: LiveRun, result: Any) -> None:
        """A thread has ended, the run perhaps not."""
        if isinstance(result, Rest):
            if live.closing is None:
                self._in_task(live, partial(read_async, result.value, live.channel), result)
            else:
                result.drop()
        self._part_ended(live, result)

    def _part_ended(self, live: LiveRun, result: Any) -> None:
        """Close the run if `result` is its end, and count it no longer if nothing of it is left."""
        if isinstance(result, RunFailed):
            live.end(result)
        elif not isinstance(result, Rest):
            live.end(RunFinished(result, usage=live.context.usage))
        live.parts -= 1
        if live.parts:
            return
        self._forget(live)
        seconds = asyncio.get_running_loop().time() - live.started
        failed, usage = isinstance(live.closing, RunFailed), live.context.usage
        live.run.bill.close(live.run.deployment, seconds=seconds, usage=usage, failed=failed)
        for run in self._admission.leave(live.run, seconds=seconds):
            self._contexts.pop(run).run(self._begin, self._lives[run])

    def _give_up(self, live: LiveRun) -> None:
        """A run was stopped: if it still waits, its turn never comes."""
        if self._admission.is_waiting(live.run):
            self._admission.give_up(live.run)
            live.run.bill.drop()
            del self._contexts[live.run]
            self._forget(live)

    def _forget(self, live: LiveRun) -> None:
        del self._lives[live.run]
        live.run.uses.give_back()

    def _failed(self, live: LiveRun, error: BaseException) -> RunFailed | None:
        """What came out of a wrapper's code; None if that is because it was stopped."""
        run = live.run
        if live.closing is not None and isinstance(error, RunEnded | asyncio.CancelledError):
            return None
        failure = failure_of(
            error,
            name=run.deployment,
            method=run.method.name,
            run_id=run.id,
            show_traceback=self._show_tracebacks,
        )
        _log(run, failure)
        return RunFailed(failure)


def _known(run: Run) -> dict[str, Any]:
    return {"run_id": run.id, "deployment": run.deployment, "method": run.method.name}


def _log(run: Run, failure: HayserveError) -> None:
    """The caller gets the failure; the operator, here and only here, the traceback."""
    if isinstance(failure, WrapperRefused | InvalidRequest):
        return
    try:
        logger.error("run_failed", extra=_known(run), exc_info=failure.__cause__)
    except BaseException:  # noqa: BLE001 - user code: an exception may fail to be printed
        logger.error("run_failed", extra={**_known(run), "why": failure.message})  # noqa: TRY400
