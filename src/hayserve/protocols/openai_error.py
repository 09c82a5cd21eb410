"""OpenAI's error object, for every protocol that speaks OpenAI's dialect.

Source: https://platform.openai.com/docs/guides/error-codes
"""

from collections.abc import Sequence
from typing import Any

from typing_extensions import TypedDict

from hayserve.errors import HayserveError, NotFound
from hayserve.events import Event, RunCancelled, RunFailed, StreamOpened
from hayserve.protocols.statuses import status_of, stopped

_ROOTS = frozenset({"v1", "conversations", "embeddings", "files", "models", "responses"})


class OpenAIError(TypedDict):
    """What went wrong."""

    message: str
    type: str
    param: str | None
    code: str
    run_id: str


class OpenAIRefusal(TypedDict):
    """Why a request has no answer."""

    error: OpenAIError


def is_openai(path: str, method: str = "POST") -> bool:
    """Whether a path is one that OpenAI's clients call, with that method."""
    segments = path.strip("/").split("/")
    is_kept = method in {"DELETE", "GET", "HEAD"}  # a file, say, that has the id `run`
    if not is_kept and len(segments) == 2 and segments[1] == "run":  # noqa: PLR2004 - /{name}/run
        return False
    return segments[0] in _ROOTS or segments[:2] == ["chat", "completions"]


def error_object(error: HayserveError, *, run_id: str) -> dict[str, Any]:
    """`{"error": {"message", "type", "param", "code", "run_id"}}`."""
    code = (
        "model_not_found" if isinstance(error, NotFound) and error.param == "model" else error.code
    )
    return {
        "error": {
            "message": str(error),
            "type": status_of(error).openai_type,
            "param": error.param,
            "code": code,
            "run_id": run_id,
        }
    }


def failure_of(event: Event) -> HayserveError | None:
    """What the client is told if `event` says that the run did not end well."""
    match event:
        case RunFailed(error=error):
            return error
        case RunCancelled(reason=reason):
            return stopped(reason)
        case _:
            return None


def failure_before_words(events: Sequence[Event]) -> HayserveError | None:
    """Why the run failed before it said anything; None if it did not."""
    if all(isinstance(event, StreamOpened) for event in events[:-1]):
        return failure_of(events[-1])
    return None
