"""Puts the events of a run together into one chat completion.

Source: https://platform.openai.com/docs/api-reference/chat/object
"""

import codecs
from collections.abc import Mapping, Sequence
from typing import Any, assert_never

from hayserve.events import (
    BytesDelta,
    Citation,
    Cited,
    ClientEvent,
    Delta,
    Event,
    FinishReason,
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
)
from hayserve.protocols.openai_chat.answer import (
    COMPLETION,
    Label,
    annotations_of,
    finish_reason,
    usage_of,
)
from hayserve.protocols.openai_chat.ready_made import deltas_in, usage_in
from hayserve.protocols.openai_chat.tool_calls import ClientCalls
from hayserve.protocols.openai_error import failure_of


def completion(events: Sequence[Event], label: Label) -> dict[str, Any]:
    """The answer as one object; a completion that the wrapper built itself stays as it is.

    Args:
        events: All events of the run, the closing event last.
        label: Which answer it is.

    Raises:
        HayserveError: The run failed or was stopped.
    """
    *said, closing = events
    if len(said) == 1 and type(said[0]) is TextDelta and type(closing) is RunFinished:
        usage = usage_of(closing.usage, ready_made=None)  # nearly all answers are a text
        return _whole(label, _message(said[0].text), reason="stop", usage=usage)
    answer = _Answer(label)
    for event in said:
        if type(event) is TextDelta:  # as nearly all are
            answer.text.append(event.text)
        elif not isinstance(event, StreamOpened | RunFinished | RunFailed | RunCancelled):
            answer.add(event)
    failure = failure_of(closing)
    if failure is not None:
        raise failure
    assert isinstance(closing, RunFinished)
    usage = usage_of(closing.usage, ready_made=answer.ready_made_usage)
    if len(said) == 1 and isinstance(said[0], ReadyMade) and said[0].data["object"] == COMPLETION:
        return {**label.fields(COMPLETION), "usage": usage, **said[0].data}
    return answer.whole(usage)


class _Answer:
    """A message while it grows."""

    def __init__(self, label: Label) -> None:
        self.ready_made_usage: Mapping[str, Any] | None = None
        self._label = label
        self.text: list[str] = []
        self._reasoning: list[str] = []
        self._calls: ClientCalls | None = None
        self._citations: list[Citation] = []
        self._reason: str | None = None
        self._decoder: codecs.IncrementalDecoder | None = None  # made for the first bytes

    def add(self, event: Delta) -> None:
        match event:
            case TextDelta() | BytesDelta():
                self.text.append(self._text_of(event))
            case ReasoningDelta(text=text):
                self._reasoning.append(text)
            case ToolCallDelta():
                self._calls = self._calls or ClientCalls(self._label.run_id)
                self._calls.add(event)
            case ModelFinished(reason=reason):
                self._reason = reason
            case Cited(citations=citations):
                self._citations += citations
            case ReadyMade(data=data):
                self._add_ready_made(data)
            case ToolStarted() | ToolFinished() | ClientEvent():
                pass  # shown only while a stream is open
            case _:
                assert_never(event)

    def _text_of(self, event: TextDelta | BytesDelta) -> str:
        if isinstance(event, TextDelta):
            return event.text
        if self._decoder is None:
            self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        return self._decoder.decode(event.data)

    def _add_ready_made(self, data: Mapping[str, Any]) -> None:
        self.ready_made_usage = usage_in(data) or self.ready_made_usage
        for delta in deltas_in(data):
            self.add(delta)

    def whole(self, usage: dict[str, Any]) -> dict[str, Any]:
        reason = finish_reason(self._reason, has_client_calls=bool(self._calls))
        return _whole(self._label, self._message(), reason=reason, usage=usage)

    def _message(self) -> dict[str, Any]:
        if self._decoder is not None:
            self.text.append(self._decoder.decode(b"", final=True))
        text = "".join(self.text)
        message = _message(text)
        if self._reasoning:
            message["reasoning_content"] = "".join(self._reasoning)
        if self._calls is not None:
            message["tool_calls"] = self._calls.whole()
            message["content"] = text or None
        if annotations := annotations_of(self._citations, length=len(text)):
            message["annotations"] = annotations
        return message


def _whole(
    label: Label, message: dict[str, Any], *, reason: FinishReason, usage: dict[str, Any]
) -> dict[str, Any]:
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": reason}
    return {**label.fields(COMPLETION), "choices": [choice], "usage": usage}


def _message(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text, "refusal": None}
