"""Turns what a wrapper returns or yields into events."""

import json
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from haystack.dataclasses import ChatMessage, StreamingChunk, TextContent, ToolCallDelta
from pydantic import BaseModel

from hayserve import events
from hayserve.events import Delta
from hayserve.wrappers.base import SSEStream
from hayserve.wrappers.citations import Sources
from hayserve.wrappers.tool_calls import AssembledCall, ToolCallAssembler, is_agents_own, source_of


@dataclass(frozen=True, slots=True)
class Stream:
    """A stream that a wrapper returned: exactly one of the two sources is set."""

    sse: bool
    items: Iterator[Any] | None = None
    async_items: AsyncIterator[Any] | None = None


def stream_in(value: object) -> Stream | None:
    """The stream that `value` is; None if it is a plain value.

    Iterators that are not generators count too, lists and other containers do not. Nothing but a
    stream can only be iterated asynchronously.
    """
    sse = isinstance(value, SSEStream)
    source = value.stream if isinstance(value, SSEStream) else value
    if hasattr(source, "__aiter__"):
        return Stream(sse=sse, async_items=aiter(cast(AsyncIterable[Any], source)))
    if hasattr(source, "__next__"):
        return Stream(sse=sse, items=cast(Iterator[Any], source))
    return None


def plain_text(item: object) -> str:
    """The text that is all there is to an item, as it is for nearly all; else empty."""
    if type(item) is str:
        return item
    if type(item) is not StreamingChunk:
        return ""
    if item.reasoning or item.tool_calls or item.tool_call_result or item.finish_reason:
        return ""
    return item.content


class Items:
    """Translates the items of one stream; keeps the tool calls that are still incomplete."""

    def __init__(self) -> None:
        self._calls = ToolCallAssembler()

    def events_of(self, item: object) -> list[Delta]:
        """The events that one item of a stream stands for."""
        if isinstance(item, str):
            return [events.TextDelta(item)]
        if isinstance(item, Sources):
            return [events.Cited(item.citations)]
        if isinstance(item, StreamingChunk):
            return self._chunk(item)
        if item is None:
            return [events.TextDelta("")]
        if isinstance(item, bytes | bytearray):
            return [events.BytesDelta(bytes(item))]
        return [_object(item)]

    def _chunk(self, chunk: StreamingChunk) -> list[Delta]:
        found: list[Delta] = []
        if chunk.reasoning:
            found.append(events.ReasoningDelta(chunk.reasoning.reasoning_text))
        elif chunk.tool_calls:
            if is_agents_own(chunk):
                self._calls.add(chunk.tool_calls, source=source_of(chunk))
            else:
                found += [_for_the_client(delta) for delta in chunk.tool_calls]
        elif chunk.content:
            found.append(events.TextDelta(chunk.content))
        found += self._own_calls(chunk)
        if chunk.finish_reason and chunk.finish_reason != "tool_call_results":
            found.append(events.ModelFinished(chunk.finish_reason))
        return found

    def _own_calls(self, chunk: StreamingChunk) -> list[Delta]:
        found: list[Delta] = []
        if chunk.finish_reason or chunk.tool_call_result:
            found += map(_started, self._calls.complete(source=source_of(chunk)))
        if chunk.tool_call_result:
            origin = chunk.tool_call_result.origin
            if is_agents_own(chunk):
                found += map(_started, self._calls.end(chunk.tool_call_result))
            found.append(
                events.ToolFinished(
                    id=origin.id or "",
                    name=origin.tool_name,
                    result=tool_result_text(chunk.tool_call_result.result),
                    failed=chunk.tool_call_result.error,
                )
            )
        return found


def _started(call: AssembledCall) -> Delta:
    return events.ToolStarted(call.id, call.name, call.arguments)


def _for_the_client(delta: ToolCallDelta) -> Delta:
    return events.ToolCallDelta(
        index=delta.index, id=delta.id, name=delta.tool_name, arguments=delta.arguments or ""
    )


def _object(item: object) -> Delta:
    to_event: Callable[[], Mapping[str, Any]] | None = getattr(item, "to_event_dict", None)
    if callable(to_event):
        event = dict(to_event())
        kind = str(event.pop("type", ""))
        return events.ClientEvent(kind, event.get("data", event))
    if is_ready_made(item):
        return events.ReadyMade(ready_made(item))
    return events.TextDelta(as_text(item))


def is_ready_made(item: object) -> bool:
    """Whether `item` is an OpenAI object that the wrapper built itself, from whatever package."""
    kind = getattr(item, "object", None)
    return isinstance(kind, str) and callable(getattr(item, "model_dump", None))


def ready_made(item: object) -> dict[str, Any]:
    dump: Callable[..., dict[str, Any]] = getattr(item, "model_dump")  # noqa: B009 - typed access
    return dump(mode="json", exclude_none=True)


def as_text(value: object) -> str:
    """`value` as text: its own if it has one, else JSON, else `str()`."""
    if isinstance(value, str):
        return value
    if isinstance(value, ChatMessage):
        return value.text or ""
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    try:
        return json_text(value, default=_as_data, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):  # it refers to itself, or has odd keys
        return str(value)


def json_text(
    value: object, *, default: Callable[[object], object], ensure_ascii: bool = True
) -> str:
    """`value` as JSON; a number that JSON does not have, such as NaN, becomes null."""
    text = json.dumps(value, ensure_ascii=ensure_ascii, default=default)
    if "NaN" not in text and "Infinity" not in text:
        return text
    plain = json.loads(text, parse_constant=lambda _: None)
    return json.dumps(plain, ensure_ascii=ensure_ascii)


def _as_data(value: object) -> object:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    return value.text if isinstance(value, TextContent) else str(value)


def tool_result_text(result: str | Sequence[object]) -> str:
    """What a tool returned, as text; the texts that it may consist of, one after another."""
    texts = [part.text for part in result if isinstance(part, TextContent)]
    return "\n".join(texts) if texts and len(texts) == len(result) else as_text(result)
