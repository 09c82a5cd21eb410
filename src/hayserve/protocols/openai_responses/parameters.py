"""Refuses what a request asks for and nobody here would do: nothing is ignored.

Source: https://platform.openai.com/docs/api-reference/responses/create
"""

from collections.abc import Mapping
from typing import Any, cast

from hayserve.errors import InvalidRequest
from hayserve.protocols.openai_responses.text_format import TextFormat

# What may be asked to be included in items. Those of tools that no deployment has include nothing.
_INCLUDABLE = frozenset(
    {
        "code_interpreter_call.outputs",
        "computer_call_output.output.image_url",
        "file_search_call.results",
        "message.input_image.image_url",
        "reasoning.encrypted_content",
        "web_search_call.action.sources",
        "web_search_call.results",
    }
)
_TIERS = ("auto", "default")
_NEVER: Mapping[str, str] = {
    "context_management": "Send the items that matter as `input`.",
    "max_tool_calls": "Set `max_agent_steps` of the agent.",
    "moderation": "Leave it out.",
    "prompt": "Send what it says as `instructions` and `input`.",
    "prompt_cache_options": "Leave it out.",
}


def check_parameters(body: Mapping[str, Any]) -> None:
    """Look at what a request for a response asks for.

    Raises:
        InvalidRequest: It names a parameter that is not served, or not with that value.
    """
    TextFormat(body.get("text"))
    for name, hint in _NEVER.items():
        if body.get(name) is not None:
            raise _refused(name, "is not served here", hint)
    if body.get("truncation") not in (None, "disabled"):
        raise _refused("truncation", "can only be 'disabled' here", "Send fewer items.")
    if body.get("service_tier") not in (None, *_TIERS):
        raise _refused("service_tier", f"can only be one of {_TIERS} here", "Leave it out.")
    if body.get("top_logprobs"):
        raise _refused("top_logprobs", "is not served here", "Leave it out.")
    streaming: Mapping[str, Any] = body.get("stream_options") or {}
    if streaming.get("include_obfuscation"):
        raise _refused("stream_options.include_obfuscation", "is not served here", "Leave it out.")
    _check_include(body.get("include"))


def _check_include(include: object) -> None:
    if include is None:
        return
    wanted = cast(list[object], include) if isinstance(include, list) else [include]
    for name in wanted:
        if not isinstance(name, str) or name not in _INCLUDABLE:
            raise _refused("include", f"cannot name {name!r} here", "Leave that out.")


def _refused(name: str, why: str, hint: str) -> InvalidRequest:
    return InvalidRequest(f"{name!r} {why}.", hint=hint, param=name)
