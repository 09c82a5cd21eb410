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
)
from openai.types.chat import ChatCompletionChunk

from hayserve.generators.originals import chunk_of, message_of_chunks
from hayserve.generators.server_sent_events import EventSplitter

Fields = dict[str, Any]


class StreamedReply:
    """Takes the bytes of a streamed answer and gives chunks.

    A piece of text, which nearly every event is, becomes a chunk directly. Every other event goes
    through the SDK's types and Haystack's own conversion, so that the two can only agree.

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
        choice = _only_choice(event)
        if choice is None:
            yield self._unusual(event)
            return
        delta: Fields = choice["delta"]
        reasoning = delta.get("reasoning_content") or delta.get("reasoning")
        if reasoning and isinstance(reasoning, str):
            yield self._reasoning(reasoning, self._meta(event, choice, received_at))
            if not delta.get("content"):
                return
        yield self._text(delta, self._meta(event, choice, received_at))

    def _text(self, delta: Fields, meta: Fields) -> StreamingChunk:
        content: str | None = delta.get("content")
        reason = meta["finish_reason"]
        # The constructor takes longer than all the rest: it guards against later changes and
        # against fields that exclude each other, of which there is one here.
        chunk = object.__new__(StreamingChunk)
        chunk.__dict__.update(
            self._blank,
            content=content or "",
            meta=meta,
            index=None if content is None or delta.get("role") is not None else 0,
            start=len(self._chunks) == 1,
            finish_reason=_finish_reason(reason) if reason else None,
        )
        return chunk

    def _reasoning(self, text: str, meta: Fields) -> StreamingChunk:
        reason = meta["finish_reason"]
        first, self._reasoned = not self._reasoned, True
        return StreamingChunk(
            content="",
            meta=meta,
            component_info=self._info,
            index=0,
            start=first or len(self._chunks) == 1,
            finish_reason=_finish_reason(reason) if reason else None,
            reasoning=ReasoningContent(reasoning_text=text),
        )

    def _unusual(self, event: Fields) -> StreamingChunk:
        chunk = ChatCompletionChunk.construct(**event)
        if len(chunk.choices) > 1:
            raise AssertionError("Streaming responses should have at most one choice.")
        return chunk_of(chunk, self._chunks, self._info)

    def _meta(self, event: Fields, choice: Fields, received_at: str) -> Fields:
        return {
            "model": event.get("model"),
            "index": choice.get("index"),
            "tool_calls": None,
            "finish_reason": choice.get("finish_reason"),
            "received_at": received_at,
            "usage": None,
        }


def _parsed(data: bytes) -> Any:
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return json.loads(data)  # takes NaN, and words its errors as the SDK's users know them


def _fields(value: object) -> Fields:
    return cast("Fields", value) if isinstance(value, dict) else {}


def _only_choice(event: Fields) -> Fields | None:
    """The choice of an event that has a piece of text or of reasoning, and nothing else."""
    choices = event.get("choices")
    if type(choices) is not list or len(cast("list[object]", choices)) != 1:
        return None
    choice = cast("list[object]", choices)[0]
    if type(choice) is not dict or event.get("usage") is not None:
        return None
    return fields if _is_text(fields := cast("Fields", choice)) else None


def _is_text(choice: Fields) -> bool:
    delta = choice.get("delta")
    if type(delta) is not dict or choice.get("logprobs") is not None:
        return False
    fields = cast("Fields", delta)
    content = fields.get("content")
    return (content is None or type(content) is str) and not fields.get("tool_calls")


def _finish_reason(reason: str) -> FinishReason | None:
    match reason:
        case "stop" | "length" | "content_filter" | "tool_calls":
            return reason
        case "function_call":
            return "tool_calls"
        case _:
            return None
