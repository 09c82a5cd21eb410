"""Streams what an agent or a pipeline says while it runs.

Both functions return an object that can be iterated like a generator. Returned from a wrapper's
method as it is, the server does not iterate it: the components' callbacks then put their chunks
straight into the run's channel.
"""

import asyncio
import contextvars
import queue
import threading
from collections import deque
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from types import TracebackType
from typing import Any

from haystack import Pipeline
from haystack.components.agents import Agent
from haystack.dataclasses import StreamingChunk

from hayserve.wrappers.callbacks import Callbacks, EventQueue, Reactions, said_by, said_by_async
from hayserve.wrappers.streaming_targets import (
    StreamingComponents,
    Target,
    answer_of,
    targets_in,
    with_callbacks,
)
from hayserve.wrappers.tool_calls import owned_by_agent

Put = Callable[[Any], None]
_LOOKAHEAD = 64


class _Abandoned(Exception):
    """The reader left; raised inside the pipeline's run to end it."""


class _Plan:
    """What is to run: checked when the stream is made, so that mistakes surface at once."""

    def __init__(
        self,
        pipeline: Pipeline | Agent,
        args: Mapping[str, Any] | None,
        *,
        chosen: StreamingComponents,
        include_outputs_from: set[str] | None,
        callbacks: Callbacks,
    ) -> None:
        if not isinstance(pipeline, Pipeline | Agent):  # pyright: ignore[reportUnnecessaryIsInstance] - called by users
            raise ValueError(  # noqa: TRY004 - what Hayhooks raises
                f"Unsupported pipeline type {type(pipeline).__name__!r}: "
                "pass a Haystack Pipeline or Agent."
            )
        self.pipeline = pipeline
        self.args = dict(args or {})
        self.targets = targets_in(pipeline, chosen)
        self.include_outputs_from = include_outputs_from
        self.reactions = Reactions(callbacks)

    def call(self, callbacks: Mapping[str, Callable[..., Any]]) -> dict[str, Any]:
        """The keyword arguments for the pipeline's or agent's own run method."""
        args = with_callbacks(self.pipeline, self.args, callbacks)
        if isinstance(self.pipeline, Agent):
            return args
        return {"data": args, "include_outputs_from": self.include_outputs_from}


def _marked(chunk: StreamingChunk, target: Target) -> StreamingChunk:
    return owned_by_agent(chunk) if chunk.tool_calls and target.owns_tool_calls else chunk


class PipelineStream(Generator[Any, None, None]):
    """The stream of one run of a pipeline or agent. See `streaming_generator`."""

    def __init__(self, plan: _Plan) -> None:
        self._plan = plan
        self._ready: deque[Any] = deque()
        self._handed: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        self._lookahead = threading.Semaphore(_LOOKAHEAD)
        self._abandoned = False
        self._started = False
        self._ended = False

    def drive(self, put: Put) -> None:
        """Run the pipeline in this thread and hand each item of the stream to `put`."""
        self._started = self._ended = True
        chunks = 0

        def take(chunk: StreamingChunk) -> None:
            nonlocal chunks
            chunks += 1
            for item in self._items_for(chunk):
                put(item)

        result = self._run(take)
        for item in self._items_at_end(result, streamed=chunks > 0):
            put(item)

    def send(self, value: None, /) -> Any:  # noqa: ARG002 - what a generator has
        while not self._ready:
            if self._ended:
                raise StopIteration
            self._advance()
        return self._ready.popleft()

    def throw(self, typ: Any, val: Any = None, _tb: TracebackType | None = None, /) -> Any:
        self._ended = self._abandoned = True
        self._ready.clear()
        self._lookahead.release()
        raise _exception(typ, val)

    def _advance(self) -> None:
        if not self._started:
            self._started = True
            self._streamed = False
            work = contextvars.copy_context().run
            threading.Thread(target=work, args=(self._work,), daemon=True).start()
        kind, value = self._handed.get()
        self._lookahead.release()
        if kind == "chunk":
            self._streamed = True
            self._ready.extend(self._items_for(value))
            return
        self._ended = True
        if kind == "error":
            raise value
        self._ready.extend(self._items_at_end(value, streamed=self._streamed))

    def _work(self) -> None:
        try:
            self._handed.put(("result", self._run(self._hand_over)))
        except BaseException as error:  # noqa: BLE001 - raised again where the stream is read
            self._handed.put(("error", error))

    def _hand_over(self, chunk: StreamingChunk) -> None:
        self._lookahead.acquire()
        if self._abandoned:
            raise _Abandoned
        self._handed.put(("chunk", chunk))

    def _run(self, take: Callable[[StreamingChunk], None]) -> Any:
        def callback_of(target: Target) -> Callable[[StreamingChunk], None]:
            return lambda chunk: take(_marked(chunk, target))

        plan = self._plan
        callbacks = {target.name: callback_of(target) for target in plan.targets}
        return plan.pipeline.run(**plan.call(callbacks))

    def _items_for(self, chunk: StreamingChunk) -> list[Any]:
        reactions = self._plan.reactions
        items = list(reactions.external_events())
        for call in reactions.to(chunk):
            items += said_by(call)
        return [*items, chunk]

    def _items_at_end(self, result: Any, *, streamed: bool) -> list[Any]:
        reactions = self._plan.reactions
        items = [] if streamed else [StreamingChunk(content=answer_of(result))]
        for call in reactions.to_the_end(result):
            items += said_by(call)
        return [*reactions.external_events(), *items]


class AsyncPipelineStream(AsyncGenerator[Any, None]):
    """The stream of one async run of a pipeline or agent. See `async_streaming_generator`."""

    def __init__(self, plan: _Plan, *, shielded: bool) -> None:
        self._plan = plan
        self._shielded = shielded
        self._ready: deque[Any] = deque()
        self._loop = asyncio.get_running_loop()
        self._chunks: asyncio.Queue[StreamingChunk | None] = asyncio.Queue()
        self._room = asyncio.Event()
        self._room.set()
        self._task: asyncio.Task[Any] | None = None
        self._streamed = False
        self._ended = False

    async def __anext__(self) -> Any:
        while not self._ready:
            if self._ended:
                raise StopAsyncIteration
            await self._advance()
        return self._ready.popleft()

    async def asend(self, value: None, /) -> Any:  # noqa: ARG002 - what an async generator has
        return await self.__anext__()

    async def athrow(self, typ: Any, val: Any = None, _tb: TracebackType | None = None, /) -> Any:
        self._ended = True
        self._ready.clear()
        self._room.set()
        if self._task is not None and not self._shielded:
            self._task.cancel()
            await asyncio.wait([self._task], timeout=1)
        raise _exception(typ, val)

    async def _advance(self) -> None:
        if self._task is None:
            self._task = self._loop.create_task(self._run())
            self._task.add_done_callback(lambda _: self._chunks.put_nowait(None))
        chunk = await self._chunks.get()
        if self._chunks.qsize() < _LOOKAHEAD:
            self._room.set()
        if chunk is None:
            self._ended = True
            self._ready.extend(await self._items_at_end(self._task.result()))
            return
        self._streamed = True
        self._ready.extend(await self._items_for(chunk))

    async def _run(self) -> Any:
        plan = self._plan
        callbacks = {target.name: self._callback_of(target) for target in plan.targets}
        return await plan.pipeline.run_async(**plan.call(callbacks))

    def _callback_of(self, target: Target) -> Callable[[StreamingChunk], Any]:
        loop_thread = threading.get_ident()

        def take(chunk: StreamingChunk) -> None:
            chunk = _marked(chunk, target)
            if threading.get_ident() == loop_thread:
                self._chunks.put_nowait(chunk)
            else:
                self._loop.call_soon_threadsafe(self._chunks.put_nowait, chunk)

        async def take_and_wait(chunk: StreamingChunk) -> None:
            take(chunk)
            if self._chunks.qsize() >= _LOOKAHEAD:
                self._room.clear()
            if not self._shielded:
                await self._room.wait()

        return take_and_wait if target.awaits_callbacks else take

    async def _items_for(self, chunk: StreamingChunk) -> list[Any]:
        reactions = self._plan.reactions
        items = list(reactions.external_events())
        for call in reactions.to(chunk):
            items += await said_by_async(call)
        return [*items, chunk]

    async def _items_at_end(self, result: Any) -> list[Any]:
        reactions = self._plan.reactions
        items = [] if self._streamed else [StreamingChunk(content=answer_of(result))]
        for call in reactions.to_the_end(result):
            items += await said_by_async(call)
        return [*reactions.external_events(), *items]


def _exception(typ: Any, val: Any) -> BaseException:
    """What `throw` is asked to raise: an exception, or a class and perhaps an instance of it."""
    if isinstance(typ, BaseException):
        return typ
    return val if isinstance(val, BaseException) else typ()


def streaming_generator(
    pipeline: Pipeline | Agent,
    *,
    pipeline_run_args: Mapping[str, Any] | None = None,
    on_tool_call_start: Callable[..., Any] | None = None,
    on_tool_call_end: Callable[..., Any] | None = None,
    on_reasoning: Callable[..., Any] | None = None,
    on_pipeline_end: Callable[..., Any] | None = None,
    streaming_components: StreamingComponents = None,
    include_outputs_from: set[str] | None = None,
    external_event_queue: EventQueue | None = None,
) -> PipelineStream:
    """Run a pipeline or agent and stream what it says.

    A pipeline in which nothing can stream gives its finished answer as one item.

    Args:
        pipeline: A Haystack `Pipeline` or `Agent`.
        pipeline_run_args: For a pipeline the `data` of `Pipeline.run`, for an agent the keyword
            arguments of `Agent.run`.
        on_tool_call_start: Called with (tool name, arguments, tool call id) when a tool call is
            complete. Like the other callbacks it may be async, and may return None, a string, an
            event or a list of those, which go into the stream before the chunk. One that raises
            is logged and ignored.
        on_tool_call_end: Called with (tool name, arguments, result text, whether it failed).
        on_reasoning: Called with (text, extra) for each piece of the model's reasoning.
        on_pipeline_end: Called with the result; a string that it returns ends the stream.
        streaming_components: The components that stream: None for the last one that can (or what
            the setting `streaming_components` says), "all", or a list of names.
        include_outputs_from: Passed to `Pipeline.run`.
        external_event_queue: Whatever is put here goes into the stream as it is: before the next
            chunk, or at the end.

    Returns:
        A generator of `StreamingChunk`s and whatever the callbacks and the queue give.

    Raises:
        ValueError: `pipeline` is neither a pipeline nor an agent, or a name in
            `streaming_components` is not a component that can stream.
    """
    callbacks = Callbacks(
        on_tool_call_start, on_tool_call_end, on_reasoning, on_pipeline_end, external_event_queue
    )
    return PipelineStream(
        _Plan(
            pipeline,
            pipeline_run_args,
            chosen=streaming_components,
            include_outputs_from=include_outputs_from,
            callbacks=callbacks,
        )
    )


def async_streaming_generator(
    pipeline: Pipeline | Agent,
    *,
    pipeline_run_args: Mapping[str, Any] | None = None,
    on_tool_call_start: Callable[..., Any] | None = None,
    on_tool_call_end: Callable[..., Any] | None = None,
    on_reasoning: Callable[..., Any] | None = None,
    on_pipeline_end: Callable[..., Any] | None = None,
    streaming_components: StreamingComponents = None,
    include_outputs_from: set[str] | None = None,
    allow_sync_streaming_callbacks: bool = True,  # noqa: ARG001 - in the contract, and always allowed here
    external_event_queue: EventQueue | None = None,
    shield_pipeline_task: bool = False,
) -> AsyncPipelineStream:
    """Run a pipeline or agent on the event loop and stream what it says.

    The arguments are those of `streaming_generator`; components that have no async form run in a
    thread. Closing or cancelling the stream cancels the run.

    Args:
        allow_sync_streaming_callbacks: Accepted because Hayhooks wrappers pass it; components
            without an async form always work here.
        shield_pipeline_task: Let the run finish when the stream is closed early.

    Raises:
        RuntimeError: There is no running event loop.
        ValueError: As `streaming_generator`.
    """
    callbacks = Callbacks(
        on_tool_call_start, on_tool_call_end, on_reasoning, on_pipeline_end, external_event_queue
    )
    plan = _Plan(
        pipeline,
        pipeline_run_args,
        chosen=streaming_components,
        include_outputs_from=include_outputs_from,
        callbacks=callbacks,
    )
    return AsyncPipelineStream(plan, shielded=shield_pipeline_task)
