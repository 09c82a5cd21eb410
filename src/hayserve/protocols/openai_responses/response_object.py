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
        "completed_at": None,
        "status": "in_progress",
        "model": body["model"],
        "output": [],
        "usage": None,
        "error": None,
        "incomplete_details": None,
        "background": bool(body.get("background")),
        "conversation": _conversation(body.get("conversation")),
        "previous_response_id": body.get("previous_response_id"),
        "store": body.get("store") is not False,
        **_echo(body),
    }


def _conversation(named: Any) -> dict[str, str] | None:
    return {"id": named} if isinstance(named, str) else named


def _echo(body: Mapping[str, Any]) -> dict[str, Any]:
    """What was asked for, and what goes without saying: clients look for each of these."""
    defaults: dict[str, Any] = {
        "frequency_penalty": 0.0,
        "instructions": None,
        "max_output_tokens": None,
        "max_tool_calls": None,
        "metadata": {},
        "parallel_tool_calls": True,
        "presence_penalty": 0.0,
        "prompt_cache_key": None,
        "reasoning": {},
        "safety_identifier": None,
        "service_tier": "default",
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_logprobs": 0,
        "top_p": 1.0,
        "truncation": "disabled",
    }
    sent = {name: body[name] for name in (*defaults, "user") if body.get(name) is not None}
    echoed = {**defaults, **sent}
    echoed["reasoning"] = {"effort": None, "summary": None, **echoed["reasoning"]}
    echoed["tools"] = [_tool(tool) for tool in echoed["tools"]]
    return echoed


def _tool(tool: Mapping[str, Any]) -> Mapping[str, Any]:
    if tool.get("type") != "function":
        return tool
    return {"description": None, "parameters": None, "strict": None, **tool}


def usage_of(usage: Usage) -> dict[str, Any]:
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
