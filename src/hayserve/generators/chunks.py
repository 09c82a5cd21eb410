"""A streamed reply: the upstream's events become the chunks that Haystack makes of them."""

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any, cast

import httpx2
import openai
import orjson
from haystack.dataclasses import (
    ChatMessage,
    ComponentInfo,
    FinishReason,
    ReasoningContent,
    StreamingChunk,
    ToolCallDelta,
)
from openai.types import CompletionUsage
from openai.types.chat import ChatCompletionChunk
from openai.types.chat.chat_completion_chunk import ChoiceDeltaToolCall, ChoiceLogprobs
from pydantic import BaseModel, ValidationError

from hayserve.generators.originals import chunk_of, message_of_chunks
from hayserve.generators.server_sent_events import EventSplitter

Fields = dict[str, Any]


class StreamedReply:
    """Takes the bytes of a streamed answer and gives chunks.

    Events that are what the SDK's types say become chunks directly. Every other event goes through
    the SDK and Haystack's own conversion, which take what comes.

    Args:
        info: Whose chunks these are.
        request: What is answered; errors name it.
    """

    def __init__(self, info: ComponentInfo, *, request: httpx2.Request) -> None:
        self.ended = False
        self._info = info
        self._request = request
        self._events = EventSplitter()
        self._chunks: list[StreamingChunk] = []
        self._reasoned = False
        self._blank = vars(StreamingChunk(content="", component_info=info))

    def feed(self, piece: bytes) -> Iterator[StreamingChunk]:
        """The chunks that `piece` completes, in order.

        Raises:
            openai.APIError: The upstream says that it failed.
        """
        received_at = datetime.now().isoformat()  # noqa: DTZ005 - as Haystack writes it
        for data in self._events.feed(piece):
            if data.startswith(b"[DONE]"):
                self.ended = True
                return
            event = _parsed(data)
            self._refuse_errors(event)
            for chunk in self._chunks_of(event, received_at):
                self._chunks.append(chunk)
                yield chunk

    def message(self) -> ChatMessage:
        """All chunks as one message."""
        return message_of_chunks(self._chunks)

    def _refuse_errors(self, event: object) -> None:
        error = _fields(event).get("error")
        if error:
            message = _fields(error).get("message")
            if not message or not isinstance(message, str):
                message = "An error occurred during streaming"
            raise openai.APIError(message, self._request, body=error)

    def _chunks_of(self, event: Fields, received_at: str) -> Iterator[StreamingChunk]:
        choice = _choice_of(event)
        meta = None if choice is None else _meta_of(event, choice, received_at)
        if choice is None or meta is None:
            yield self._unusual(event)
            return
        delta: Fields = choice["delta"]
        reasoning = delta.get("reasoning_content") or delta.get("reasoning")
        if reasoning and isinstance(reasoning, str):
            if not delta.get("content") and not meta["tool_calls"]:
                yield self._reasoning(reasoning, meta)
                return
            yield self._reasoning(reasoning, _meta_before(meta))
        yield self._tool_calls(delta, meta) if meta["tool_calls"] else self._text(delta, meta)

    def _text(self, delta: Fields, meta: Fields) -> StreamingChunk:
        content: str | None = delta.get("content")
        # The constructor takes longer than all the rest: it guards against later changes and
        # against fields that exclude each other, of which there is one here.
        chunk = object.__new__(StreamingChunk)
        chunk.__dict__.update(
            self._blank,
            content=content or "",
            meta=meta,
            index=None if content is None or delta.get("role") is not None else 0,
            start=len(self._chunks) == 1,
            finish_reason=_finish_reason(meta["finish_reason"]),
        )
        return chunk

    def _tool_calls(self, delta: Fields, meta: Fields) -> StreamingChunk:
        calls: list[ChoiceDeltaToolCall] = meta["tool_calls"]
        deltas = [
            ToolCallDelta(
                index=call.index,
                id=call.id,
                tool_name=call.function.name if call.function else None,
                arguments=(call.function.arguments or None) if call.function else None,
            )
            for call in calls
        ]
        return StreamingChunk(
            content=delta.get("content") or "",
            meta=meta,
            component_info=self._info,
            index=deltas[0].index,
            tool_calls=deltas,
            start=deltas[0].tool_name is not None,
            finish_reason=_finish_reason(meta["finish_reason"]),
        )

    def _reasoning(self, text: str, meta: Fields) -> StreamingChunk:
        first, self._reasoned = not self._reasoned, True
        return StreamingChunk(
            content="",
            meta=meta,
            component_info=self._info,
            index=0,
            start=first or len(self._chunks) == 1,
            finish_reason=_finish_reason(meta["finish_reason"]),
            reasoning=ReasoningContent(reasoning_text=text),
        )

    def _unusual(self, event: Fields) -> StreamingChunk:
        chunk = ChatCompletionChunk.construct(**event)
        if len(chunk.choices) > 1:
            raise AssertionError("Streaming responses should have at most one choice.")
        return chunk_of(chunk, self._chunks, self._info)


def _parsed(data: bytes) -> Any:
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return json.loads(data)  # takes NaN, and words its errors as the SDK's users know them


def _fields(value: object) -> Fields:
    return cast("Fields", value) if isinstance(value, dict) else {}


def _choice_of(event: Fields) -> Fields | None:
    """The choice of an event that has one, as all but the first and the last have."""
    choices = event.get("choices")
    if type(choices) is not list or len(cast("list[object]", choices)) != 1:
        return None
    choice = _fields(cast("list[object]", choices)[0])
    delta = choice.get("delta")
    if type(delta) is not dict:
        return None
    content = cast("Fields", delta).get("content")
    return choice if content is None or type(content) is str else None


def _meta_of(event: Fields, choice: Fields, received_at: str) -> Fields | None:
    """What Haystack notes of a chunk, or nothing if the event is not as the SDK's types say."""
    try:
        calls = [
            ChoiceDeltaToolCall.model_validate(call, strict=True)
            for call in choice["delta"].get("tool_calls") or ()
        ]
        logprobs = _plain(ChoiceLogprobs, choice.get("logprobs"))
        usage = _plain(CompletionUsage, event.get("usage"))
    except ValidationError:
        return None
    meta: Fields = {
        "model": event.get("model"),
        "index": choice.get("index"),
        "tool_calls": calls or None,
        "finish_reason": choice.get("finish_reason"),
        "received_at": received_at,
        "usage": usage,
    }
    return meta if logprobs is None or calls else {**meta, "logprobs": logprobs}


def _meta_before(meta: Fields) -> Fields:
    """Of a chunk that comes before another one of the same event, which has the rest."""
    shared = {key: meta[key] for key in ("model", "index", "received_at")}
    return {**shared, "tool_calls": None, "finish_reason": None, "usage": None}


def _plain(kind: type[BaseModel], value: object) -> Fields | None:
    return None if value is None else kind.model_validate(value, strict=True).model_dump()


def _finish_reason(reason: str | None) -> FinishReason | None:
    match reason:
        case "stop" | "length" | "content_filter" | "tool_calls":
            return reason
        case "function_call":
            return "tool_calls"
        case _:
            return None
