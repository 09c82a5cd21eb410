"""One run of a pipeline or agent whose chunks are read while it is under way.

Neither the thread nor the task of a run holds the stream that somebody reads: so a stream that
nobody holds any more is collected, and ends its run.
"""

import asyncio
import contextvars
import logging
import queue
import threading
import weakref
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Literal

from haystack import Pipeline
from haystack.components.agents import Agent
from haystack.dataclasses import StreamingChunk

from hayserve.wrappers.asked import Asked
from hayserve.wrappers.client_options import options_for, options_for_agent
from hayserve.wrappers.client_tools import ClientTurn
from hayserve.wrappers.context import current_run
from hayserve.wrappers.streaming_targets import (
    StreamingComponents,
    Target,
    targets_in,
    with_callbacks,
    with_options,
)
from hayserve.wrappers.tool_calls import owned_by_agent

logger = logging.getLogger("hayserve.wrappers")

LOOKAHEAD = 64
_SECONDS_TO_STOP = 1.0

Outcome = tuple[Literal["chunk", "result", "error"], Any]
Take = Callable[[StreamingChunk], Any]


class Abandoned(BaseException):
    """The reader left; raised inside the pipeline's run to end it.

    It is no `Exception`, so that no component takes it for a failure and tries again.
    """


class Plan:
    """What is to run: checked when the stream is made, so that mistakes surface at once."""

    def __init__(
        self,
        pipeline: Pipeline | Agent,
        args: Mapping[str, Any] | None,
        *,
        chosen: StreamingComponents,
        include_outputs_from: set[str] | None,
    ) -> None:
        if not isinstance(pipeline, Pipeline | Agent):  # pyright: ignore[reportUnnecessaryIsInstance] - called by users
            raise ValueError(  # noqa: TRY004 - what Hayhooks raises
                f"Unsupported pipeline type {type(pipeline).__name__!r}: "
                "pass a Haystack Pipeline or Agent."
            )
        self.pipeline: Pipeline | Agent = pipeline
        self._args: dict[str, Any] = dict(args or {})
        self.targets = targets_in(pipeline, chosen)
        self._options: Mapping[str, Mapping[str, Any]] = {}
        self._include_outputs_from = include_outputs_from
        self.turn: ClientTurn | None = None
        run = current_run.get()
        if run is not None and run.asked is not None:
            self._hand_over(run.asked)

    def _hand_over(self, asked: Asked) -> None:
        """Give the caller's tools and parameters to whatever takes them."""
        if not isinstance(self.pipeline, Agent):
            self._options = {target.name: options_for(target, asked) for target in self.targets}
            return
        agent = self.pipeline
        self._args = with_options(self._args, options_for_agent(agent, asked))
        if asked.tools or asked.resumed is not None:
            self.turn = ClientTurn(agent, self._args, asked)
            self.pipeline, self._args = self.turn.agent, self.turn.args
            self.targets = [replace(target, turn=self.turn) for target in self.targets]

    def run(self, take: Take) -> Any:
        """Run it in this thread, with `take` called for each chunk."""
        return self.pipeline.run(**self._call(lambda target: _Callback(take, target)))

    async def run_async(self, callback_of: Callable[[Target], Take]) -> Any:
        """Run it on the event loop, with a callback of its own for each component that streams."""
        return await self.pipeline.run_async(**self._call(callback_of))

    def calls_for_the_client(self) -> list[StreamingChunk]:
        """What ended the agent's turn, which is written down to be continued; this may block."""
        calls = self.turn.calls() if self.turn is not None else None
        return [] if calls is None else [calls]

    def _call(self, callback_of: Callable[[Target], Take]) -> dict[str, Any]:
        callbacks = {target.name: callback_of(target) for target in self.targets}
        args = with_callbacks(self.pipeline, self._args, callbacks, options=self._options)
        if isinstance(self.pipeline, Agent):
            return args
        return {"data": args, "include_outputs_from": self._include_outputs_from}


class _Callback:
    """What a component calls for each chunk.

    A class, because Haystack copies and writes down the inputs of a run that fails, and warns of
    functions that it cannot write.
    """

    def __init__(self, take: Take, target: Target) -> None:
        self._take = take
        self._target = target

    def __call__(self, chunk: StreamingChunk) -> None:
        self._take(marked(chunk, self._target))

    def __deepcopy__(self, _: object) -> "_Callback":
        return self

    def to_dict(self) -> dict[str, Any]:
        return {}


def marked(chunk: StreamingChunk, target: Target) -> StreamingChunk:
    """The chunk, with its tool calls marked if `target` executes them itself, and else noted."""
    if not (chunk.tool_calls or chunk.tool_call_result or chunk.finish_reason):
        return chunk
    if target.turn is not None:
        chunk = target.turn.own(chunk)
    if target.owns_tool_calls:
        return owned_by_agent(chunk, target.name)
    target.called.update(delta.tool_name for delta in chunk.tool_calls or () if delta.tool_name)
    return chunk


class ThreadRun:
    """A run in a thread of its own, at most `LOOKAHEAD` chunks ahead of its reader."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._outcomes: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
        self._room = _room()
        self._abandoned = False

    def start(self) -> None:
        work = contextvars.copy_context().run
        threading.Thread(target=work, args=(self._work,), daemon=True).start()

    def next(self) -> Outcome:
        """Wait for what comes next: a chunk, or the end."""
        outcome = self._outcomes.get()
        self._room.put(None)
        return outcome

    def abandon(self) -> None:
        """End the run at its next chunk; may be called from a finalizer."""
        self._abandoned = True
        self._room.put(None)

    def _work(self) -> None:
        try:
            self._outcomes.put(("result", self._plan.run(self._hand_over)))
        except BaseException as error:  # noqa: BLE001 - raised again where the stream is read
            self._outcomes.put(("error", error))

    def _hand_over(self, chunk: StreamingChunk) -> None:
        _wait(self._room, lambda: self._abandoned)
        self._outcomes.put(("chunk", chunk))


class TaskRun:
    """A run on the event loop, at most `LOOKAHEAD` chunks ahead of its reader.

    Only a component that calls a sync callback on the event loop cannot be made to wait.

    Args:
        plan: What is to run.
        shielded: Let the run finish when it is abandoned.
    """

    def __init__(self, plan: Plan, *, shielded: bool) -> None:
        self._plan = plan
        self._shielded = shielded
        self._loop = asyncio.get_running_loop()
        self._outcomes: asyncio.Queue[Outcome] = asyncio.Queue()
        self._has_room = asyncio.Event()
        self._has_room.set()
        self._room_for_threads = _room()
        self._from_threads = 0
        self._abandoned = False
        self._task = self._loop.create_task(self._work())
        # An event loop holds its tasks weakly; this holds the task until it is done.
        held = weakref.finalize(self._loop, self._task.cancel)
        held.atexit = False
        self._task.add_done_callback(lambda _: held.detach())

    async def next(self) -> Outcome:
        """Wait for what comes next: a chunk, or the end."""
        outcome = await self._outcomes.get()
        if self._from_threads:
            self._from_threads -= 1
            self._room_for_threads.put(None)
        if self._outcomes.qsize() < LOOKAHEAD:
            self._has_room.set()
        return outcome

    def abandon(self) -> None:
        """Cancel the run unless it is shielded; its chunks go nowhere from now on."""
        self._abandoned = True
        self._has_room.set()
        self._room_for_threads.put(None)
        if not self._shielded:
            self._task.cancel()

    def abandon_soon(self) -> None:
        """As `abandon`, from a finalizer: in any thread, and perhaps after the event loop."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.abandon)

    async def aclose(self) -> None:
        """Abandon the run and give it a moment to end."""
        self.abandon()
        if not self._shielded:
            await asyncio.wait([self._task], timeout=_SECONDS_TO_STOP)

    async def _work(self) -> None:
        try:
            self._outcomes.put_nowait(("result", await self._plan.run_async(self._callback_of)))
        except BaseException as error:  # raised again where the stream is read
            self._outcomes.put_nowait(("error", error))
            if self._abandoned and self._shielded:
                run = current_run.get()
                extra = {"run_id": run.run_id if run else ""}
                logger.exception("run_failed_after_its_reader_left", extra=extra)

    def _callback_of(self, target: Target) -> Take:
        loop_thread = threading.get_ident()

        def take(chunk: StreamingChunk) -> None:
            if threading.get_ident() == loop_thread:
                self._put(marked(chunk, target))
            else:
                self._put_from_thread(marked(chunk, target))

        async def take_and_wait(chunk: StreamingChunk) -> None:
            self._put(marked(chunk, target))
            if not self._abandoned:
                await self._has_room.wait()

        return take_and_wait if target.awaits_callbacks else take

    def _put(self, chunk: StreamingChunk) -> None:
        if self._abandoned:
            return
        self._outcomes.put_nowait(("chunk", chunk))
        if self._outcomes.qsize() >= LOOKAHEAD:
            self._has_room.clear()

    def _put_from_thread(self, chunk: StreamingChunk) -> None:
        _wait(self._room_for_threads, lambda: self._abandoned and not self._shielded)
        self._loop.call_soon_threadsafe(self._put_counted, chunk)

    def _put_counted(self, chunk: StreamingChunk) -> None:
        if self._abandoned:
            self._room_for_threads.put(None)
        else:
            self._from_threads += 1
            self._put(chunk)


def _room() -> queue.SimpleQueue[None]:
    """One token for each chunk that may wait; unlike a semaphore it is safe in a finalizer."""
    room: queue.SimpleQueue[None] = queue.SimpleQueue()
    for _ in range(LOOKAHEAD):
        room.put(None)
    return room


def _wait(room: queue.SimpleQueue[None], is_abandoned: Callable[[], bool]) -> None:
    room.get()
    if is_abandoned():
        room.put(None)  # for the next thread of this run that waits
        raise Abandoned
