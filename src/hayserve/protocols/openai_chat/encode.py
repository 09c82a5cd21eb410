"""Translates the events of a run to the stream of chunks that OpenAI's clients read.

Source: https://platform.openai.com/docs/api-reference/chat-streaming
"""

import codecs
from collections.abc import Mapping
from typing import Any, assert_never

import orjson

from hayserve.events import (
    BytesDelta,
    Citation,
    Cited,
    ClientEvent,
    Closing,
    Event,
    ModelFinished,
    ReadyMade,
    ReasoningDelta,
    RunCancelled,
    RunFailed,
    RunFinished,
    StreamOpened,
    TextDelta,
    ToolCallDelta,
    ToolFinished,
    ToolStarted,
    Usage,
)
from hayserve.protocols.json_bytes import to_json
from hayserve.protocols.openai_chat.answer import (
    CHUNK,
    Label,
    annotations_of,
    finish_reason,
    is_finish_reason,
    usage_of,
)
from hayserve.protocols.openai_chat.ready_made import calls_in, deltas_in, usage_in
from hayserve.protocols.openai_chat.tool_calls import ClientCalls
from hayserve.protocols.openai_error import error_object, failure_of

_DATA = b"data: "
_DONE = b"data: [DONE]\n\n"
_ROLE = b'{"role":"assistant","content":""},"finish_reason":null}]'


class ChunkEncoder:
    """Makes `chat.completion.chunk`s of one run.

    The role is said once, before anything else; one chunk with a finish reason follows the last
    word; `[DONE]` ends every stream, also one that failed, after a frame with the error. Tools
    that the agent executes itself never appear. An event for the user interface travels as the
    extra field `event` of a chunk that says nothing, which Open WebUI and Hayhooks' Chainlit app
    show and every other client skips.

    Args:
        label: Which answer it is.
        include_usage: Whether the client asked for a last chunk with the usage.
    """

    def __init__(self, label: Label, *, include_usage: bool = False) -> None:
        self._label = label
        self._include_usage = include_usage
        fields = orjson.dumps(label.fields(CHUNK))[:-1]
        self._head = b'%s%s,"choices":[{"index":0,"delta":' % (_DATA, fields)
        self._tail = b"%s}\n\n" % (b',"usage":null' if include_usage else b"")
        self._text_head = self._head + b'{"content":'
        self._text_tail = b'},"finish_reason":null}]' + self._tail
        self._role_is_said = False
        self._decoder: codecs.IncrementalDecoder | None = None  # made for the first bytes
        self._calls = ClientCalls(label.run_id)
        self._citations: list[Citation] = []
        self._length = 0  # of the text, which citations are of
        self._reason: str | None = None
        self._ready_made_usage: Mapping[str, Any] | None = None

    def encode(self, event: Event) -> bytes:
        if isinstance(event, TextDelta):  # as nearly all are
            return self._text(event.text)
        match event:
            case ModelFinished(reason=reason):
                self._reason = reason
            case StreamOpened():
                return self._role()
            case ToolStarted() | ToolFinished():
                pass
            case RunFinished() | RunFailed() | RunCancelled():
                return self._closing(event)
            case _:
                return self._other(event)
        return b""

    def _other(
        self, event: BytesDelta | ReasoningDelta | ToolCallDelta | ClientEvent | ReadyMade | Cited
    ) -> bytes:
        match event:
            case BytesDelta(data=data):
                return self._text(self._decoded(data))
            case ReasoningDelta(text=text):
                return self._chunk(b'{"reasoning_content":%s}' % to_json(text))
            case ToolCallDelta():
                return self._chunk(b'{"tool_calls":[%s]}' % to_json(self._calls.add(event)))
            case ClientEvent(type=kind, data=data):
                return self._chunk(b"{}", event=to_json({"type": kind, "data": data}))
            case Cited(citations=citations):
                self._citations += citations
                return b""
            case ReadyMade(data=data):
                return self._ready_made(data)
            case _:
                assert_never(event)

    def _decoded(self, data: bytes) -> str:
        if self._decoder is None:
            self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        return self._decoder.decode(data)

    def _text(self, text: str) -> bytes:
        if not text:
            return b""
        self._length += len(text)
        frame = self._text_head + to_json(text) + self._text_tail
        return frame if self._role_is_said else self._role() + frame

    def _chunk(self, delta: bytes, *, reason: bytes = b"null", event: bytes = b"") -> bytes:
        end = b',"finish_reason":%s}]' % reason
        extra = b',"event":' + event if event else b""
        return self._role() + self._head + delta + end + extra + self._tail

    def _role(self) -> bytes:
        if self._role_is_said:
            return b""
        self._role_is_said = True
        return self._head + _ROLE + self._tail

    def _ready_made(self, data: Mapping[str, Any]) -> bytes:
        self._ready_made_usage = usage_in(data) or self._ready_made_usage
        if data.get("object") != CHUNK:
            return b"".join(self.encode(delta) for delta in deltas_in(data))
        choices = [self._choice(choice) for choice in data.get("choices") or ()]
        if not choices:
            return b""
        fields = self._label.fields(CHUNK)
        chunk = {**fields, **data, "id": fields["id"], "choices": choices, "usage": None}
        return self._role() + _frame(chunk)

    def _choice(self, choice: Mapping[str, Any]) -> dict[str, Any]:
        """The wrapper's choice without what this encoder says, and says once."""
        delta: dict[str, Any] = {**(choice.get("delta") or {})}
        delta.pop("role", None)
        self._length += len(delta.get("content") or "")
        if calls := [self._calls.add(call) for call in calls_in(delta)]:
            delta["tool_calls"] = calls
        if is_finish_reason(choice.get("finish_reason")):
            self._reason = choice["finish_reason"]
        return {"index": 0, **choice, "delta": delta, "finish_reason": None}

    def _closing(self, event: Closing) -> bytes:
        failure = failure_of(event)
        if failure is not None:
            return _frame(error_object(failure, run_id=self._label.run_id)) + _DONE
        assert isinstance(event, RunFinished)
        return self._end(event.usage)

    def _end(self, usage: Usage | None) -> bytes:
        last_text = self._text(self._decoder.decode(b"", final=True)) if self._decoder else b""
        reason = finish_reason(self._reason, has_client_calls=bool(self._calls))
        cited = self._annotations()
        finish = self._chunk(b"{}", reason=to_json(reason))
        return last_text + cited + finish + self._usage(usage) + _DONE

    def _annotations(self) -> bytes:
        annotations = annotations_of(self._citations, length=self._length)
        return self._chunk(b'{"annotations":%s}' % to_json(annotations)) if annotations else b""

    def _usage(self, usage: Usage | None) -> bytes:
        if not self._include_usage:
            return b""
        counted = usage_of(usage, ready_made=self._ready_made_usage)
        return _frame({**self._label.fields(CHUNK), "choices": [], "usage": counted})


def _frame(value: Mapping[str, Any]) -> bytes:
    return _DATA + to_json(value) + b"\n\n"
