"""Reads what wrappers return in place of a stream, and OpenAI's own objects that they build."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from hayserve.errors import WrapperFailed
from hayserve.events import (
    Delta,
    Event,
    ModelFinished,
    ReadyMade,
    ReasoningDelta,
    RunFinished,
    StreamOpened,
    TextDelta,
    ToolCallDelta,
)
from hayserve.protocols.openai_chat.answer import CHUNK, COMPLETION, is_finish_reason
from hayserve.protocols.openai_chat.through_response import (
    RESPONSE,
    events_of_response,
    failure_in,
    usage_of_response,
)
from hayserve.runs.run import Run
from hayserve.wrappers.items import as_text, is_ready_made, ready_made


def with_answer(events: Sequence[Event], *, run: Run) -> list[Event]:
    """The events of a run, a plain value that the wrapper returned as the deltas it stands for.

    Raises:
        WrapperFailed: The value cannot be an answer.
    """
    last = events[-1]
    if isinstance(events[0], StreamOpened) or not isinstance(last, RunFinished):
        return list(events)
    return [*events[:-1], *_deltas_of(last.result, run=run), last]


def deltas_in(data: Mapping[str, Any]) -> list[Delta]:
    """What an object that the wrapper built says."""
    if data.get("object") == RESPONSE:
        return events_of_response(data)
    if data.get("object") not in {CHUNK, COMPLETION}:
        return [TextDelta(as_text(data))]
    choices: Sequence[Mapping[str, Any]] = data.get("choices") or ()
    if not choices:
        return []
    said = _said(choices[0].get("message") or choices[0].get("delta") or {})
    reason: object = choices[0].get("finish_reason")
    return [*said, ModelFinished(reason)] if is_finish_reason(reason) else said


def calls_in(message: Mapping[str, Any]) -> list[ToolCallDelta]:
    """The tool calls of a message, or the pieces of them in a delta."""
    calls: Sequence[Mapping[str, Any]] = message.get("tool_calls") or ()
    return [_call(call, index) for index, call in enumerate(calls)]


def usage_in(data: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The usage that the wrapper itself put into an object."""
    if data.get("object") == RESPONSE:
        return usage_of_response(data)
    return data.get("usage") if data.get("object") in {CHUNK, COMPLETION} else None


def _deltas_of(result: object, *, run: Run) -> list[Delta]:
    if isinstance(result, str):
        return [TextDelta(result)]
    if is_ready_made(result):
        made = ready_made(result)
        if (failure := failure_in(made)) is not None:
            raise WrapperFailed(f"{run.deployment!r} failed in {run.method.name}: {failure}")
        return [ReadyMade(made)]
    message = _openai_message(result)
    if message is not None:
        return _said(message)
    raise WrapperFailed(
        f"{run.deployment!r} failed in {run.method.name}: it returned {type(result).__name__!r} "
        "where a string or a generator is expected.",
        hint="Return the answer's text, or what `streaming_generator` returns.",
    )


def _openai_message(result: object) -> Mapping[str, Any] | None:
    """A message of Haystack's, which knows how OpenAI writes it; None for anything else."""
    write: Callable[..., Mapping[str, Any]] | None = getattr(result, "to_openai_dict_format", None)
    try:
        return write(require_tool_call_ids=False) if write else None
    except ValueError:  # OpenAI has no way to write this one
        return None


def _said(message: Mapping[str, Any]) -> list[Delta]:
    said: list[Delta] = []
    if reasoning := message.get("reasoning_content"):
        said.append(ReasoningDelta(reasoning))
    if text := message.get("content") or message.get("refusal"):
        said.append(TextDelta(as_text(text)))
    return [*said, *calls_in(message)]


def _call(call: Mapping[str, Any], index: int) -> ToolCallDelta:
    function = cast(Mapping[str, Any], call.get("function") or {})
    return ToolCallDelta(
        index=call.get("index", index),
        id=call.get("id"),
        name=function.get("name"),
        arguments=function.get("arguments") or "",
    )
