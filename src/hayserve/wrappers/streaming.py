"""Streams what an agent or a pipeline says while it runs.

Both functions return an object that can be iterated like a generator. Returned from a wrapper's
method as it is, the server does not iterate it: the components' callbacks then put their chunks
straight into the run's channel.
"""

import asyncio
import threading
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping
from functools import partial
from types import TracebackType
from typing import Any

import anyio.to_thread
from haystack import Pipeline
from haystack.components.agents import Agent
from haystack.dataclasses import StreamingChunk

from hayserve.wrappers.callbacks import Callbacks, EventQueue, Reactions, said_by, said_by_async
from hayserve.wrappers.pipeline_run import Plan, Take, TaskRun, ThreadRun, marked
from hayserve.wrappers.streaming_targets import StreamingComponents, Target
from hayserve.wrappers.unsaid import unsaid

Put = Callable[[Any], None]
Room = Callable[[], Awaitable[None]]


class PipelineStream(Generator[Any, None, None]):
    """The stream of one run of a pipeline or agent. See `streaming_generator`."""

    def __init__(self, plan: Plan, reactions: Reactions) -> None:
        self._plan = plan
        self._reactions = reactions
        self._run = ThreadRun(plan)
        self._ready: deque[Any] = deque()
        self._error: BaseException | None = None
        self._started = False
        self._ended = False

    def drive(self, put: Put) -> None:
        """Run the pipeline in this thread and hand each item of the stream to `put`."""
        if self._started:  # the wrapper has read the beginning itself
            try:
                for item in self:
                    put(item)
            finally:
                self.close()
            return
        self._started = self._ended = True
        try:
            result = self._plan.run(self._taking(put))
        except Exception:
            for event in self._reactions.external_events():
                put(event)
            raise
        for item in self._items_at_end(result):
            put(item)

    def _taking(self, put: Put) -> Take:
        one_at_a_time = threading.RLock()  # an agent's tools stream from several threads

        def take(chunk: StreamingChunk) -> None:
            with one_at_a_time:
                for item in self._items_for(chunk):
                    put(item)

        def take_at_once(chunk: StreamingChunk) -> None:
            self._reactions.note(chunk)
            put(chunk)

        return take_at_once if self._reactions.are_none else take

    def send(self, value: None, /) -> Any:  # noqa: ARG002 - what a generator has
        while not self._ready:
            if self._error is not None:
                error, self._error = self._error, None
                raise error
            if self._ended:
                raise StopIteration
            self._advance()
        return self._ready.popleft()

    def throw(self, typ: Any, val: Any = None, _tb: TracebackType | None = None, /) -> Any:
        self._ended = True
        self._error = None
        self._ready.clear()
        self._run.abandon()
        raise _exception(typ, val)

    def __del__(self) -> None:
        self._run.abandon()

    def _advance(self) -> None:
        if not self._started:
            self._started = True
            self._run.start()
        kind, value = self._run.next()
        if kind == "chunk":
            self._ready.extend(self._items_for(value))
            return
        self._ended = True
        if kind == "error":
            self._error = _raisable(value)
            self._ready.extend(self._reactions.external_events())
        else:
            self._ready.extend(self._items_at_end(value))

    def _items_for(self, chunk: StreamingChunk) -> list[Any]:
        items = list(self._reactions.external_events())
        for call in self._reactions.to(chunk):
            items += said_by(call)
        return [*items, chunk]

    def _items_at_end(self, result: Any) -> list[Any]:
        said = unsaid(self._plan, result, answered=self._reactions.answered)
        items = [item for chunk in said for item in self._items_for(chunk)]
        items += self._plan.calls_for_the_client()
        for call in self._reactions.to_the_end(result):
            items += said_by(call)
        return [*self._reactions.external_events(), *items]


class AsyncPipelineStream(AsyncGenerator[Any, None]):
    """The stream of one async run of a pipeline or agent. See `async_streaming_generator`."""

    def __init__(self, plan: Plan, reactions: Reactions, *, shielded: bool) -> None:
        self._plan = plan
        self._reactions = reactions
        self._shielded = shielded
        self._run: TaskRun | None = None
        self._ready: deque[Any] = deque()
        self._error: BaseException | None = None
        self._ended = False

    async def drive(self, put: Put, room: Room) -> None:
        """Run the pipeline in this task and hand each item of the stream to `put`.

        Args:
            put: Takes an item, from any thread.
            room: Awaited between items where a component can wait, until there is room for more.
        """
        if self._run is not None or self._shielded or not self._reactions.are_none:
            try:
                async for item in self:
                    put(item)
                    await room()
            finally:
                await self.aclose()
            return
        self._ended = True
        result = await self._plan.run_async(partial(_taking, put, room, reactions=self._reactions))
        said = unsaid(self._plan, result, answered=self._reactions.answered)
        for item in [*said, *await _calls_for_the_client(self._plan)]:
            put(item)

    async def __anext__(self) -> Any:
        while not self._ready:
            if self._error is not None:
                error, self._error = self._error, None
                raise error
            if self._ended:
                raise StopAsyncIteration
            await self._advance()
        return self._ready.popleft()

    async def asend(self, value: None, /) -> Any:  # noqa: ARG002 - what an async generator has
        return await self.__anext__()

    async def athrow(self, typ: Any, val: Any = None, _tb: TracebackType | None = None, /) -> Any:
        self._ended = True
        self._error = None
        self._ready.clear()
        if self._run is not None:
            await self._run.aclose()
        raise _exception(typ, val)

    def __del__(self) -> None:
        if self._run is not None:
            self._run.abandon_soon()

    async def _advance(self) -> None:
        if self._run is None:
            self._run = TaskRun(self._plan, shielded=self._shielded)
        kind, value = await self._run.next()
        if self._ended:  # closed while it was read
            return
        if kind == "chunk":
            self._ready.extend(await self._items_for(value))
            return
        self._ended = True
        if kind == "error":
            self._error = _raisable(value)
            self._ready.extend(self._reactions.external_events())
        else:
            self._ready.extend(await self._items_at_end(value))

    async def _items_for(self, chunk: StreamingChunk) -> list[Any]:
        items = list(self._reactions.external_events())
        for call in self._reactions.to(chunk):
            items += await said_by_async(call)
        return [*items, chunk]

    async def _items_at_end(self, result: Any) -> list[Any]:
        said = unsaid(self._plan, result, answered=self._reactions.answered)
        items = [item for chunk in said for item in await self._items_for(chunk)]
        items += await _calls_for_the_client(self._plan)
        for call in self._reactions.to_the_end(result):
            items += await said_by_async(call)
        return [*self._reactions.external_events(), *items]


def _taking(put: Put, room: Room, target: Target, *, reactions: Reactions) -> Take:
    """What a component that streams calls for each chunk."""

    def take(chunk: StreamingChunk) -> None:
        chunk = marked(chunk, target)
        reactions.note(chunk)
        put(chunk)

    async def take_and_wait(chunk: StreamingChunk) -> None:
        take(chunk)
        await room()

    return take_and_wait if target.awaits_callbacks else take


async def _calls_for_the_client(plan: Plan) -> list[StreamingChunk]:
    if plan.turn is None:
        return []
    return await anyio.to_thread.run_sync(plan.calls_for_the_client)


def _raisable(error: BaseException) -> BaseException:
    """The error of a run, wrapped if it would mean something else where the stream is read."""
    if isinstance(error, StopIteration | StopAsyncIteration | asyncio.CancelledError):
        wrapped = RuntimeError(f"The pipeline raised {type(error).__name__}.")
        wrapped.__cause__ = error
        return wrapped
    return error


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
    plan = Plan(
        pipeline,
        pipeline_run_args,
        chosen=streaming_components,
        include_outputs_from=include_outputs_from,
    )
    return PipelineStream(plan, Reactions(callbacks))


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
        ValueError: As `streaming_generator`.
    """
    callbacks = Callbacks(
        on_tool_call_start, on_tool_call_end, on_reasoning, on_pipeline_end, external_event_queue
    )
    plan = Plan(
        pipeline,
        pipeline_run_args,
        chosen=streaming_components,
        include_outputs_from=include_outputs_from,
    )
    return AsyncPipelineStream(plan, Reactions(callbacks), shielded=shield_pipeline_task)
