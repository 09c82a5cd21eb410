"""What a request asks for is done or refused, never ignored."""

from typing import Any

import pytest

from hayserve.errors import InvalidRequest
from hayserve.protocols.openai_responses.parameters import check_parameters


@pytest.mark.parametrize(
    ("name", "value", "param"),
    [
        ("prompt", {"id": "pmpt_1"}, "prompt"),
        ("max_tool_calls", 3, "max_tool_calls"),
        ("context_management", [], "context_management"),
        ("moderation", {}, "moderation"),
        ("prompt_cache_options", {}, "prompt_cache_options"),
        ("truncation", "auto", "truncation"),
        ("service_tier", "flex", "service_tier"),
        ("top_logprobs", 2, "top_logprobs"),
        ("stream_options", {"include_obfuscation": True}, "stream_options.include_obfuscation"),
        ("include", ["message.output_text.logprobs"], "include"),
        ("include", "no list", "include"),
        ("include", [dict[str, str]()], "include"),
        ("text", {"format": {"type": "xml"}}, "text.format.type"),
        (
            "text",
            {"format": {"type": "json_schema", "name": "n", "schema": {"type": "no such"}}},
            "text.format.schema",
        ),
    ],
)
def test_what_nobody_would_do_is_refused(name: str, value: Any, param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        check_parameters({name: value})
    assert refused.value.param == param


def test_what_asks_for_nothing_else_is_taken() -> None:
    check_parameters({})
    check_parameters(
        {
            "prompt": None,
            "truncation": "disabled",
            "service_tier": "auto",
            "top_logprobs": 0,
            "stream_options": {"include_obfuscation": False},
            "include": ["reasoning.encrypted_content"],
        }
    )
