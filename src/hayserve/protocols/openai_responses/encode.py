"""Translates the events of a run to what clients of the Responses API read.

Source: https://platform.openai.com/docs/api-reference/responses-streaming
"""

import time
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, assert_never

from hayserve.errors import HayserveError, WrapperFailed
from hayserve.events import (
    BytesDelta,
    Cited,
    ClientEvent,
    Closing,
    Delta,
    Event,
    FinishReason,
    ModelFinished,
    ReadyMade,
    ReasoningDelta,
    RunFinished,
    StreamOpened,
    TextDelta,
    ToolCallDelta,
    ToolFinished,
    ToolStarted,
    Usage,
)
from hayserve.protocols.openai_error import failure_of
from hayserve.protocols.openai_responses.frames import Frames
from hayserve.protocols.openai_responses.output import Output
from hayserve.protocols.openai_responses.output_items import ItemStatus, Message, Reasoning
from hayserve.protocols.openai_responses.response_object import (
    Response,
    error_of,
    usage_of,
)
from hayserve.protocols.openai_responses.text_format import TextFormat
from hayserve.protocols.openai_responses.through_chat import events_of_completion
from hayserve.runs.run import Run
from hayserve.wrappers.items import is_ready_made, ready_made

_INCOMPLETE: Mapping[FinishReason, str] = MappingProxyType(
    {"length": "max_output_tokens", "content_filter": "content_filter"}
)
_COMPLETIONS = ("chat.completion", "chat.completion.chunk")
_OTHER_ENDINGS = ("incomplete", "failed")


def as_stream(events: Sequence[Event], *, run: Run) -> list[Event]:
    """The events as if the wrapper had streamed: what it returned in one piece becomes a delta.

    Raises:
        WrapperFailed: It returned something that is no answer.
    """
    first = events[0]
    if not isinstance(first, RunFinished):
        return list(events)
    return [_delta_of(first.result, run=run), RunFinished(usage=first.usage)]


def _delta_of(result: object, *, run: Run) -> Delta:
    if isinstance(result, str):
        return TextDelta(result)
    if is_ready_made(result):
        return ReadyMade(ready_made(result))
    # Haystack's messages know how OpenAI's chat writes them.
    written: Callable[..., Mapping[str, Any]] | None = getattr(
        result, "to_openai_dict_format", None
    )
    if written is not None:
        message = written(require_tool_call_ids=False)
        return ReadyMade({"object": _COMPLETIONS[0], "choices": [{"message": message}]})
    raise _no_answer(
        f"{run.deployment!r} failed in {run.method.name}: it returned {type(result).__name__!r},"
    )


def _no_answer(what: str) -> WrapperFailed:
    return WrapperFailed(
        f"{what} which is no answer to a request for a response.",
        hint="Return a string, a generator of text, chunks and events, or a Response object.",
    )


def whole_response(
    events: Sequence[Event], *, response: Response, run_id: str, label: str = ""
) -> Response:
    """The response object that a stream of these events would have ended with.

    Raises:
        HayserveError: The run ended without an answer.
    """
    encoder = ResponseEncoder(response, run_id=run_id, label=label)
    for event in events:
        encoder.encode(event)
    if encoder.failure is not None:
        raise encoder.failure
    return encoder.response


class ResponseEncoder:
    """Translates one run to named server-sent events.

    Args:
        response: The response object as it is before anything was said.
        run_id: What the ids of the output's items are made of.
        label: What the tools that the agent executes itself are said to be of.
        events: Whether the client wants the wrapper's own events (status, source, …) too.
    """

    def __init__(
        self, response: Response, *, run_id: str, label: str = "", events: bool = False
    ) -> None:
        self.response: Response = response
        self.failure: HayserveError | None = None
        self._wants_events = events
        self._frames = Frames()
        self._output = Output(self._frames, run_id=run_id, label=label or response["model"])
        self._format = TextFormat(response.get("text"))
        self._reason: FinishReason = "stop"
        self._has_begun = False
        self._has_ended = False

    def encode(self, event: Event) -> bytes:
        if self._has_ended:
            return b""
        frames = b"" if self._has_begun else self._begin(event)
        if isinstance(event, Closing):
            return frames + self._close(event)
        return frames + self._translate(event)

    def _begin(self, event: Event) -> bytes:
        if isinstance(event, ReadyMade) and event.data.get("object") == "response":
            self._take_id(event.data.get("id"))
        self._has_begun = True
        return b"".join(
            self._frames.frame(kind, response=self.response)
            for kind in ("response.created", "response.in_progress")
        )

    def _take_id(self, id_: object) -> None:
        """What a wrapper has built has an id; one that is kept is found by ours."""
        if isinstance(id_, str) and not self.response.get("store"):
            self.response = {**self.response, "id": id_}

    def _translate(self, event: StreamOpened | Delta) -> bytes:
        match event:
            case TextDelta() | ReasoningDelta() | BytesDelta():
                return self._say(event)
            case ToolCallDelta() | ToolStarted() | ToolFinished():
                return self._call(event)
            case ModelFinished(reason=reason):
                self._reason = reason
                return self._output.close_calls(self._status)
            case ReadyMade(data=data):
                return self._pass_on(data)
            case _:
                return self._other(event)

    def _call(self, event: ToolCallDelta | ToolStarted | ToolFinished) -> bytes:
        match event:
            case ToolCallDelta():
                return self._output.call(event)
            case ToolStarted():
                return self._output.start_tool(event)
            case ToolFinished():
                return self._output.finish_tool(event)
            case _:
                assert_never(event)

    def _other(self, event: StreamOpened | ClientEvent | Cited) -> bytes:
        match event:
            case ClientEvent(type=kind, data=data):
                return self._frames.frame(kind, data=data) if self._wants_events else b""
            case Cited(citations=citations):
                self._output.cite(citations)
                return b""
            case StreamOpened():
                return b""
            case _:
                assert_never(event)

    def _say(self, event: TextDelta | ReasoningDelta | BytesDelta) -> bytes:
        text = event.data.decode(errors="replace") if isinstance(event, BytesDelta) else event.text
        kind = Reasoning if isinstance(event, ReasoningDelta) else Message
        return self._output.say(text, kind=kind) if text else b""

    def _pass_on(self, data: Mapping[str, Any]) -> bytes:
        kind = data.get("object")
        if kind in _COMPLETIONS:
            return b"".join(map(self._translate, events_of_completion(data)))
        if kind != "response":
            return self._fail(_no_answer(f"The wrapper yielded an object {kind!r},"))
        # Clients tell by the id that what has begun and what has ended are one response.
        return self._output.end("completed") + self._conclude(
            {**self.response, "status": "completed", **data, "id": self.response["id"]}
        )

    def _close(self, event: Closing) -> bytes:
        failure = failure_of(event)
        if failure is not None:
            return self._fail(failure)
        assert isinstance(event, RunFinished)
        return self._finish(event.usage)

    def _finish(self, usage: Usage | None) -> bytes:
        if self._status == "completed" and (fault := self._fault()) is not None:
            return self._fail(fault)
        # Clients look for a message even where nothing was said, and for its citations there.
        frames = self._output.say("") if self._output.lacks_message else b""
        frames += self._output.end(self._status)
        reason = _INCOMPLETE.get(self._reason)
        return frames + self._conclude(
            {
                **self.response,
                "status": self._status,
                "output": self._output.items,
                "usage": usage_of(usage or Usage()),
                "incomplete_details": {"reason": reason} if reason else None,
            }
        )

    def _fault(self) -> HayserveError | None:
        """What is wrong with the form of the answer, unless it is an order to the client."""
        return None if self._output.has_calls else self._format.fault(self._output.text)

    def _fail(self, error: HayserveError) -> bytes:
        self.failure = error
        return self._output.end("incomplete") + self._conclude(
            {
                **self.response,
                "status": "failed",
                "output": self._output.items,
                "error": error_of(error),
            }
        )

    def _conclude(self, response: Response) -> bytes:
        if response["status"] == "completed":
            response = {**response, "completed_at": int(time.time())}
        self.response = response
        self._has_ended = True
        ending = response["status"] if response["status"] in _OTHER_ENDINGS else "completed"
        return self._frames.frame(f"response.{ending}", response=response)

    @property
    def _status(self) -> ItemStatus:
        return "incomplete" if self._reason in _INCOMPLETE else "completed"
