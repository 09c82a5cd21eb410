"""OpenAI's response object.

Source: https://platform.openai.com/docs/api-reference/responses/object
"""

from collections.abc import Mapping
from typing import Any

from hayserve.errors import HayserveError
from hayserve.events import Usage
from hayserve.protocols.statuses import Status, status_of

Response = dict[str, Any]

_TOO_MANY = 429


def response_id(run_id: str) -> str:
    """The id of the response that a run makes: it begins with the run's, which the log knows."""
    return f"resp_{item_key(run_id, 0)}"


def item_key(run_id: str, index: int) -> str:
    """What the id of an item of the output ends with: 32 hexadecimal digits."""
    return f"{run_id}{index:08x}"


def new_response(body: Mapping[str, Any], *, run_id: str, created_at: int) -> Response:
    """The object as it is before anything was said.

    Args:
        body: The request; clients expect to find its parameters in the response.
        run_id: Becomes part of the id.
        created_at: Seconds since 1970.
    """
    return {
        "id": response_id(run_id),
        "object": "response",
        "created_at": created_at,
        "status": "in_progress",
        "model": body["model"],
        "output": [],
        "usage": None,
        "error": None,
        "incomplete_details": None,
        "background": False,
        "previous_response_id": None,
        "store": False,
        **_echo(body),
    }


def _echo(body: Mapping[str, Any]) -> dict[str, Any]:
    defaults: dict[str, Any] = {
        "instructions": None,
        "max_output_tokens": None,
        "metadata": {},
        "parallel_tool_calls": True,
        "prompt_cache_key": None,
        "reasoning": {"effort": None, "summary": None},
        "safety_identifier": None,
        "service_tier": None,
        "temperature": None,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_logprobs": None,
        "top_p": None,
        "truncation": "disabled",
        "user": None,
    }
    sent = {name: body[name] for name in defaults if body.get(name) is not None}
    return {**defaults, **sent}


def usage_of(usage: Usage | None) -> dict[str, Any] | None:
    if usage is None:
        return None
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens, "cache_write_tokens": 0},
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.total_tokens,
    }


def error_of(error: HayserveError) -> dict[str, str]:
    """The `error` of a failed response; clients accept only OpenAI's own codes there."""
    return {"code": _code_of(status_of(error)), "message": str(error)}


def _code_of(status: Status) -> str:
    if status.openai == _TOO_MANY:
        return "rate_limit_exceeded"
    return "server_error" if status.openai_type == "server_error" else "invalid_prompt"
