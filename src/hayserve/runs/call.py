"""Calls a wrapper's method, and puts what its stream says into the run's channel."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Generator, Iterator
from inspect import isawaitable, iscoroutine
from typing import Any

from hayserve.events import StreamOpened, TextDelta
from hayserve.runs.channel import Channel
from hayserve.runs.run import Run
from hayserve.wrappers.items import Items, plain_text, stream_in
from hayserve.wrappers.streaming import AsyncPipelineStream, PipelineStream


class Rest:
    """What a call gave that has to go on elsewhere: in a thread, or on the event loop.

    Args:
        value: A stream, or something to await.
    """

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def drop(self) -> None:
        """Let go of it, because its run was stopped; Python warns of coroutines just forgotten."""
        if iscoroutine(self.value):
            self.value.close()


def call(run: Run, channel: Channel) -> Any:
    """Call a sync method, and read its stream in the same thread if it returns one.

    Returns:
        The result, None after a stream, or the `Rest` that belongs on the event loop.
    """
    return read(run.method.function(**run.arguments), channel)


def read(value: Any, channel: Channel) -> Any:
    """What `call` does with a value that there is already."""
    stream = stream_in(value)
    if stream is None:
        return Rest(value) if isawaitable(value) else value
    if stream.items is None:
        return Rest(value)
    _pump(stream.items, stream.sse, channel)
    return None


def call_async(run: Run, channel: Channel) -> Coroutine[Any, Any, Any]:
    """Call an async method, and read its stream if it returns one that belongs here.

    Returns:
        What gives the result, None after a stream, or the `Rest` that belongs in a thread.
    """
    return read_async(run.method.function(**run.arguments), channel)


async def read_async(value: Any, channel: Channel) -> Any:
    """What `call_async` does with a value that there is already."""
    if isawaitable(value):
        value = await value
    stream = stream_in(value)
    if stream is None:
        return value
    if stream.async_items is None:
        return Rest(value)
    await _pump_async(stream.async_items, stream.sse, channel)
    return None


def _pump(source: Iterator[Any], sse: bool, channel: Channel) -> None:  # noqa: FBT001 - of this module alone
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
    if isinstance(source, AsyncPipelineStream):
        await source.drive(put, channel.room)
        return
    try:
        async for item in source:
            put(item)
            if channel.is_full:
                await channel.room()
    finally:
        if isinstance(source, AsyncGenerator):
            await source.aclose()


def _emitter(channel: Channel) -> Callable[[object], None]:
    events_of, emit = Items().events_of, channel.emit

    def put(item: object) -> None:
        if text := plain_text(item):  # as of most items, and this is done for every token
            emit(TextDelta(text))
            return
        for event in events_of(item):
            emit(event)

    return put
