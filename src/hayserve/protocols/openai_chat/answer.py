"""What parts of an answer say of it: its name, why it ended, what it used, what it is based on.

Source: https://platform.openai.com/docs/api-reference/chat/object
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard, get_args

from hayserve.events import Citation, FinishReason, Usage

CHUNK = "chat.completion.chunk"
COMPLETION = "chat.completion"


@dataclass(slots=True)
class Label:
    """Which answer something belongs to.

    Args:
        run_id: The id of the run that answers.
        model: The name that the client asked for, which may be an alias.
        created: When, in seconds since 1970.
    """

    run_id: str
    model: str
    created: int

    def fields(self, kind: str) -> dict[str, Any]:
        return {
            "id": f"chatcmpl-{self.run_id}",
            "object": kind,
            "created": self.created,
            "model": self.model,
        }


def finish_reason(last: str | None, *, has_client_calls: bool) -> FinishReason:
    """Why the answer ended, if the last call of the model ended because of `last`.

    "tool_calls" is an order to the client, so it is said if and only if the client was given
    calls; an answer that was cut off is cut off even so.
    """
    if last in {"length", "content_filter"}:
        return "length" if last == "length" else "content_filter"
    return "tool_calls" if has_client_calls else "stop"


def is_finish_reason(value: object) -> TypeGuard[FinishReason]:
    return value in get_args(FinishReason)


def annotations_of(citations: Sequence[Citation], *, length: int) -> list[dict[str, Any]]:
    """The citations of an answer of that length, as far as a chat can say them: of web pages."""
    return [
        {
            "type": "url_citation",
            "url_citation": {
                "start_index": 0,
                "end_index": length,
                "title": each.title,
                "url": each.url,
            },
        }
        for each in dict.fromkeys(citations)
        if each.url is not None
    ]


def usage_of(usage: Usage | None, *, ready_made: Mapping[str, Any] | None) -> dict[str, Any]:
    """What was counted, else what the wrapper itself said, else zeros."""
    if usage is None:
        return _NO_USAGE if ready_made is None else {**ready_made}
    return _fields_of(usage)


def _fields_of(usage: Usage) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }


_NO_USAGE = _fields_of(Usage())  # of many answers: nobody changes it
