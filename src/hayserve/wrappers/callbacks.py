"""Calls a wrapper's own callbacks for what happens in a stream, and collects what they say."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from inspect import isawaitable
from queue import Empty
from typing import Any, Protocol, cast

from haystack.dataclasses import StreamingChunk

from hayserve.wrappers.items import tool_result_text
from hayserve.wrappers.tool_calls import AssembledCall, ToolCallAssembler, source_of

logger = logging.getLogger("hayserve.wrappers")

Call = Callable[[], Any]


class EventQueue(Protocol):
    """What `queue.Queue` and `asyncio.Queue` have in common."""

    def get_nowait(self) -> Any: ...


@dataclass(frozen=True, slots=True)
class Callbacks:
    """The callbacks that a wrapper gave; each may be sync or async."""

    on_tool_call_start: Callable[..., Any] | None = None
    on_tool_call_end: Callable[..., Any] | None = None
    on_reasoning: Callable[..., Any] | None = None
    on_pipeline_end: Callable[..., Any] | None = None
    external_event_queue: EventQueue | None = None


class Reactions:
    """What the callbacks have to say about each chunk of one stream.

    It gives the calls and does not make them, so that one set of rules serves both the sync and
    the async form of a stream.
    """

    def __init__(self, callbacks: Callbacks) -> None:
        self._callbacks = callbacks
        self._calls = ToolCallAssembler()
        # Whether the answer was streamed: something was said since the last tool call ended.
        self.answered = False
        self.are_none = callbacks == Callbacks()

    def note(self, chunk: StreamingChunk) -> None:
        """Take notice of a chunk, which is enough where there is nobody to call."""
        if chunk.tool_call_result:
            self.answered = False
        elif chunk.content or chunk.tool_calls:
            self.answered = True

    def to(self, chunk: StreamingChunk) -> Iterator[Call]:
        """The calls to make before `chunk` is passed on."""
        self.note(chunk)
        source = source_of(chunk)
        if chunk.tool_calls:
            self._calls.add(chunk.tool_calls, source=source)
        if chunk.finish_reason or chunk.tool_call_result:
            yield from self._to_starts(self._calls.complete(source=source))
        if chunk.tool_call_result:
            yield from self._to_starts(self._calls.end(chunk.tool_call_result))
        end = self._callbacks.on_tool_call_end
        if end is not None and chunk.tool_call_result:
            result = chunk.tool_call_result
            yield partial(
                end,
                result.origin.tool_name,
                result.origin.arguments,
                tool_result_text(result.result),
                bool(result.error),
            )
        reasoning = self._callbacks.on_reasoning
        if reasoning is not None and chunk.reasoning:
            yield partial(reasoning, chunk.reasoning.reasoning_text, chunk.reasoning.extra)

    def _to_starts(self, calls: Sequence[AssembledCall]) -> Iterator[Call]:
        start = self._callbacks.on_tool_call_start
        for call in calls:
            if start is not None:
                yield partial(start, call.name, call.arguments, call.id or None)

    def to_the_end(self, result: object) -> Iterator[Call]:
        """The calls to make when the pipeline has returned `result`."""
        yield from self._to_starts(self._calls.complete())
        end = self._callbacks.on_pipeline_end
        if end is not None:
            yield partial(self._closing_chunk, end, result)

    @staticmethod
    def _closing_chunk(end: Callable[..., Any], result: object) -> Any:
        said = end(result)
        return _chunk_later(said) if isawaitable(said) else _chunk(said)

    def external_events(self) -> Iterator[Any]:
        """What others put into the wrapper's queue so far."""
        queue = self._callbacks.external_event_queue
        while queue is not None:
            try:
                yield queue.get_nowait()
            except (Empty, asyncio.QueueEmpty):
                return


def said_by(call: Call) -> list[Any]:
    """Make a call from a thread; an async callback is run to its end there."""
    try:
        said = call()
        if isawaitable(said):
            said = _awaited(said)
    except Exception:  # user code: a callback that fails does not end the answer
        logger.exception("callback_failed")
        return []
    return _listed(said)


async def said_by_async(call: Call) -> list[Any]:
    """Make a call on the event loop."""
    try:
        said = call()
        if isawaitable(said):
            said = await said
    except Exception:  # user code: a callback that fails does not end the answer
        logger.exception("callback_failed")
        return []
    return _listed(said)


def _awaited(said: Awaitable[Any]) -> Any:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(_finish(said))
    # Somebody reads the stream, or streams, inside a running event loop: that one cannot wait.
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(copy_context().run, asyncio.run, _finish(said)).result()


async def _finish(said: Awaitable[Any]) -> Any:
    return await said


async def _chunk_later(said: Awaitable[Any]) -> Any:
    return _chunk(await said)


def _chunk(said: object) -> StreamingChunk | None:
    return StreamingChunk(content=said) if isinstance(said, str) and said else None


def _listed(said: object) -> list[Any]:
    if said is None:
        return []
    return list(cast(list[Any], said)) if isinstance(said, list | tuple) else [said]
