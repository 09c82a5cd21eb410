from typing import Any

import pytest
from haystack.dataclasses import ChatMessage

from hayserve.wrappers.client_events import create_notification_event, create_status_event
from hayserve.wrappers.default_callbacks import (
    default_on_pipeline_end,
    default_on_tool_call_end,
    default_on_tool_call_start,
)


def test_the_start_of_a_tool_call_is_a_status() -> None:
    event = default_on_tool_call_start("weather", {"city": "Berlin"}, "call_1")
    assert event == create_status_event("Calling 'weather' tool...", done=False)


def test_a_tool_call_without_a_name_says_nothing() -> None:
    assert default_on_tool_call_start("", None, None) is None


def test_the_end_of_a_tool_call_is_a_status_and_a_folded_block() -> None:
    assert default_on_tool_call_end("weather", {"city": "Berlin"}, "sunny", False) == [
        create_status_event("Called 'weather' tool", done=True),
        (
            '<details type="weather" done="true">\n'
            "<summary>Tool call result for 'weather'</summary>\n\n"
            "```\nArguments:\n{'city': 'Berlin'}\n\nResponse:\nsunny\n```\n"
            "</details>\n\n"
        ),
    ]


def test_a_result_cannot_leave_its_code_block() -> None:
    _, block = default_on_tool_call_end("shell", {}, "```sh\nls\n```", False)
    assert isinstance(block, str)
    assert "````\nArguments:\n{}\n\nResponse:\n```sh\nls\n```\n````\n</details>" in block


def test_a_failed_tool_call_is_a_notification() -> None:
    assert default_on_tool_call_end("weather", {}, "no network", True) == [
        create_status_event("Called 'weather' tool", done=True, hidden=True),
        create_notification_event("Error calling 'weather' tool", "error"),
    ]


@pytest.mark.parametrize(
    ("result", "text"),
    [
        ("done", "done"),
        (5, "5"),
        (None, ""),
        ({"llm": {"replies": ["Hello"]}}, '{"llm": {"replies": ["Hello"]}}'),
        (
            [ChatMessage.from_user("Hello")],
            '[{"role": "user", "meta": {}, "name": null, "content": [{"text": "Hello"}]}]',
        ),
    ],
)
def test_the_result_of_a_run_becomes_text(result: Any, text: str) -> None:
    assert default_on_pipeline_end(result) == text
