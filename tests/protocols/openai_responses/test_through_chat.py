"""How requests for a response look to a chat method, and what its answers say."""

from typing import Any

import pytest

from hayserve.errors import InvalidRequest
from hayserve.events import ModelFinished, ReasoningDelta, TextDelta, ToolCallDelta
from hayserve.protocols.openai_responses.through_chat import (
    chat_body,
    chat_messages,
    events_of_completion,
)


def messages_of(*items: dict[str, Any]) -> list[dict[str, Any]]:
    return chat_messages(items, instructions=None)


def content_of(*parts: dict[str, Any]) -> Any:
    return messages_of({"role": "user", "content": list(parts)})[0]["content"]


def test_instructions_come_first() -> None:
    said = {"type": "message", "role": "user", "content": "Hi"}

    assert chat_messages([said], instructions="Be kind.") == [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Hi"},
    ]


def test_an_item_without_type_and_role_is_what_the_user_said() -> None:
    assert messages_of({"content": "Hi"}) == [{"role": "user", "content": "Hi"}]


def test_parts_that_are_all_text_become_one_string() -> None:
    parts = [{"type": "input_text", "text": "a"}, {"type": "output_text", "text": "b"}]

    assert content_of(*parts) == "a\nb"


def test_content_with_an_image_or_a_file_stays_a_list() -> None:
    assert content_of(
        {"type": "input_text", "text": "a"},
        {"type": "input_image", "image_url": "https://example.org/a.png", "detail": "low"},
        {"type": "input_image", "image_url": "https://example.org/b.png"},
        {"type": "input_file", "file_id": "file-1", "detail": "low"},
        {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}},
        {"type": "refusal", "refusal": "No."},
    ) == [
        {"type": "text", "text": "a"},
        {"type": "image_url", "image_url": {"url": "https://example.org/a.png", "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "https://example.org/b.png", "detail": "auto"}},
        {"type": "file", "file": {"file_id": "file-1"}},
        {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}},
        {"type": "refusal", "refusal": "No."},
    ]


@pytest.mark.parametrize(
    "part",
    [
        {"type": "input_video"},
        {"type": "input_image", "file_id": "file-1"},
        {"type": "input_file", "file_url": "https://example.org/a.pdf"},
    ],
)
def test_a_part_that_chat_has_no_form_for_is_refused(part: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match=part["type"]) as caught:
        content_of(part)

    assert caught.value.param == "input"


@pytest.mark.parametrize(
    ("item", "where"),
    [
        ({"content": [5]}, "input[0].content[0]"),
        ({"content": [{"type": "input_text", "text": "a"}, [1]]}, "input[0].content[1]"),
        ({"content": [None]}, "input[0].content[0]"),
        ({"content": {"type": "input_text"}}, "input[0].content"),
        ({"content": [{"type": "text", "text": 1}]}, "input[0].content[0].text"),
        ({"content": [{"type": "refusal", "refusal": 1}]}, "input[0].content[0].refusal"),
        (
            {"content": [{"type": "input_image", "image_url": "a", "detail": 1}]},
            "input[0].content[0].detail",
        ),
        (
            {"content": [{"type": "input_image", "image_url": {"url": "a"}}]},
            "input[0].content[0].image_url",
        ),
        ({"content": [{"type": "input_file", "file_data": 1}]}, "input[0].content[0].file_data"),
        ({"content": [{"type": "input_audio"}]}, "input[0].content[0].input_audio"),
        (
            {"content": [{"type": "input_audio", "input_audio": {"data": 1}}]},
            "input[0].content[0].input_audio.data",
        ),
        ({"role": [False], "content": "Hi"}, "input[0].role"),
        ({"type": "function_call", "name": 1}, "input[0].name"),
        ({"type": "function_call", "name": "f", "arguments": 1}, "input[0].arguments"),
        ({"type": "function_call", "name": "f", "call_id": 1}, "input[0].call_id"),
        ({"type": "function_call_output", "call_id": 1, "output": 1}, "input[0].call_id"),
    ],
)
def test_what_has_the_wrong_type_is_named_by_its_place(item: dict[str, Any], where: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        messages_of(item)

    assert caught.value.param == where
    assert caught.value.message.startswith(f"{where!r} has to be ")


@pytest.mark.parametrize("kind", [[5], {"a": 1}, 5, True])
def test_a_type_of_any_type_is_refused(kind: object) -> None:
    for item in ({"type": kind}, {"content": [{"type": kind}]}):
        with pytest.raises(InvalidRequest, match="cannot be given to this model"):
            messages_of(item)


@pytest.mark.parametrize(
    ("tool", "why"),
    [
        ({"type": "code_interpreter"}, "A tool of type 'code_interpreter' cannot be given"),
        ({"type": "function", "parameters": {}}, "A function tool has no name"),
    ],
)
def test_a_tool_that_chat_has_no_form_for_is_refused(tool: dict[str, Any], why: str) -> None:
    with pytest.raises(InvalidRequest, match=why) as caught:
        chat_body({"tools": [tool]}, messages=[])
    assert caught.value.param == "tools"


def test_null_is_as_good_as_nothing() -> None:
    message = {"role": None, "content": [{"type": "input_text", "text": None}]}
    assert messages_of(message) == [{"role": "user", "content": ""}]


def test_calls_of_one_turn_and_their_outputs_become_chat_messages() -> None:
    messages = messages_of(
        {"type": "reasoning", "summary": []},
        {"type": "function_call", "call_id": "a", "name": "add", "arguments": "[1]"},
        {"type": "function_call", "id": "b", "name": "now"},
        {"type": "function_call_output", "call_id": "a", "output": "1"},
        {
            "type": "function_call_output",
            "call_id": "b",
            "output": [{"type": "input_text", "text": "noon"}],
        },
    )

    assert messages == [
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "add", "arguments": "[1]"}},
                {"id": "b", "type": "function", "function": {"name": "now", "arguments": "{}"}},
            ],
        },
        {"role": "tool", "tool_call_id": "a", "content": "1"},
        {"role": "tool", "tool_call_id": "b", "content": "noon"},
    ]


def test_a_call_that_the_agent_has_executed_is_followed_by_what_came_of_it() -> None:
    called = {"type": "mcp_call", "name": "search", "arguments": "{}", "server_label": "it"}
    messages = messages_of(
        {**called, "id": "a", "output": "found"},
        {**called, "id": "b", "output": None, "error": "nothing there"},
    )

    assert [message.get("content") for message in messages] == [
        None,
        "found",
        None,
        "nothing there",
    ]
    assert [message.get("tool_call_id") for message in messages] == [None, "a", None, "b"]
    assert messages[2]["tool_calls"][0]["id"] == "b"


def test_a_call_after_the_assistants_words_belongs_to_them() -> None:
    messages = messages_of(
        {"role": "assistant", "content": "Let me see."},
        {"type": "function_call", "call_id": "a", "name": "add", "arguments": "[1]"},
    )

    assert [message["content"] for message in messages] == ["Let me see."]
    assert len(messages[0]["tool_calls"]) == 1


@pytest.mark.parametrize(
    ("output", "content"),
    [
        ({"sum": 3}, '{"sum": 3}'),
        ([{"type": "input_image"}], '[{"type": "input_image"}]'),
        ([5, None], "[5, null]"),
        ([{"type": "text", "text": 1}], '[{"type": "text", "text": 1}]'),
        (None, "null"),
    ],
)
def test_an_output_that_is_not_text_is_handed_over_as_json(output: object, content: str) -> None:
    (message,) = messages_of({"type": "function_call_output", "call_id": "a", "output": output})

    assert message["content"] == content


def test_an_item_that_chat_has_no_form_for_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="'item_reference'"):
        messages_of({"type": "item_reference", "id": "msg_1"})


def test_parameters_get_the_names_they_have_in_chat() -> None:
    tool: dict[str, Any] = {"type": "function", "name": "add", "parameters": {}}
    body = {
        "model": "echo",
        "stream": True,
        "temperature": 0.5,
        "top_p": None,
        "max_output_tokens": 9,
        "reasoning": {"effort": "low", "summary": None},
        "text": {"format": {"type": "json_object"}, "verbosity": "low"},
        "input": "Hi",
        "instructions": "Be kind.",
        "store": True,
        "safety_identifier": "ada",
        "top_k": 5,
        "tools": [tool],
        "tool_choice": {"type": "function", "name": "add"},
    }

    assert chat_body(body, []) == {
        "model": "echo",
        "messages": [],
        "stream": True,
        "temperature": 0.5,
        "max_completion_tokens": 9,
        "reasoning_effort": "low",
        "response_format": {"type": "json_object"},
        "verbosity": "low",
        "safety_identifier": "ada",
        "top_k": 5,
        "tools": [{"type": "function", "function": {"name": "add", "parameters": {}}}],
        "tool_choice": {"type": "function", "function": {"name": "add"}},
    }


def test_a_schema_is_nested_in_a_chat() -> None:
    schema: dict[str, Any] = {"name": "number", "schema": {"type": "integer"}, "strict": True}
    body = {"model": "echo", "stream": False, "text": {"format": {"type": "json_schema", **schema}}}

    expected = {"type": "json_schema", "json_schema": schema}
    assert chat_body(body, [])["response_format"] == expected


def test_a_tool_choice_that_is_a_word_stays_as_it_is() -> None:
    body = {"model": "echo", "stream": False, "tool_choice": "auto"}

    assert chat_body(body, [])["tool_choice"] == "auto"


def test_the_tools_that_are_allowed_are_nested_in_a_chat() -> None:
    tools = [{"type": "function", "name": "add"}]
    choice: dict[str, Any] = {"type": "allowed_tools", "mode": "auto", "tools": tools}
    body = {"model": "echo", "stream": False, "tool_choice": choice}

    nested = [{"type": "function", "function": {"name": "add"}}]
    assert chat_body(body, [])["tool_choice"] == {
        "type": "allowed_tools",
        "allowed_tools": {"mode": "auto", "tools": nested},
    }


@pytest.mark.parametrize(
    ("choice", "param"),
    [
        ({"type": "file_search"}, "tool_choice"),
        ({"type": "allowed_tools", "tools": ["add"]}, "tool_choice"),
        ({"type": "allowed_tools", "tools": "add"}, "tool_choice.tools"),
    ],
)
def test_a_tool_choice_that_chat_has_no_form_for_is_refused(choice: Any, param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        chat_body({"model": "echo", "stream": False, "tool_choice": choice}, [])

    assert caught.value.param == param


def test_a_tool_that_openai_would_execute_itself_is_refused() -> None:
    body = {"model": "echo", "stream": False, "tools": [{"type": "web_search"}]}

    with pytest.raises(InvalidRequest, match="'web_search'") as caught:
        chat_body(body, [])

    assert caught.value.param == "tools"


def test_a_completion_says_reasoning_text_calls_and_its_reason() -> None:
    message = {
        "reasoning_content": "hm",
        "content": "Hi",
        "tool_calls": [
            {"id": "a", "function": {"name": "add", "arguments": "{}"}},
            {"id": "b"},
        ],
    }

    choices = [{"message": message, "finish_reason": "tool_calls"}]

    assert events_of_completion({"choices": choices}) == [
        ReasoningDelta("hm"),
        TextDelta("Hi"),
        ToolCallDelta(0, id="a", name="add", arguments="{}"),
        ToolCallDelta(1, id="b"),
        ModelFinished("tool_calls"),
    ]


def test_a_refusal_is_what_the_model_says() -> None:
    assert events_of_completion({"choices": [{"delta": {"refusal": "No."}}]}) == [TextDelta("No.")]


def test_a_completion_without_choices_says_nothing() -> None:
    assert events_of_completion({}) == []
    assert events_of_completion({"choices": [{}]}) == []
