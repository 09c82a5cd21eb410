from dataclasses import dataclass
from typing import Any

import pytest
from haystack.dataclasses import ChatMessage, ImageContent, TextContent, ToolCall

from hayserve.errors import InvalidRequest
from hayserve.wrappers.messages import (
    chat_messages_from_openai,
    chat_messages_from_openai_response,
    get_content,
    get_input_files,
    get_last_user_input_text,
    get_last_user_message,
    is_user_message,
)


@dataclass
class Message:
    role: str
    content: str | None


PARTS = [{"type": "text", "text": "Hello"}]
WEATHER = ToolCall(tool_name="weather", arguments={"city": "Berlin"}, id="call_1")
SENT_CALL = {
    "id": "call_1",
    "type": "function",
    "function": {"name": "weather", "arguments": '{"city": "Berlin"}'},
}


def refusal_of(*messages: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as refused:
        chat_messages_from_openai(messages)
    return refused.value


@pytest.mark.parametrize(
    ("message", "from_user"),
    [
        ({"role": "user"}, True),
        ({"role": "assistant"}, False),
        ({}, False),
        (Message("user", "Hello"), True),
        (Message("system", "Hello"), False),
        (ChatMessage.from_user("Hello"), True),
        ("user", False),
        (None, False),
    ],
)
def test_a_user_message_is_one_with_the_role_user(message: Any, from_user: bool) -> None:
    assert is_user_message(message) is from_user


@pytest.mark.parametrize(
    ("message", "content"),
    [
        ({"content": "Hello"}, "Hello"),
        ({"content": PARTS}, PARTS),
        ({"content": None}, None),
        ({}, ""),
        (Message("user", "Hello"), "Hello"),
        (Message("user", None), ""),
        (5, ""),
    ],
)
def test_the_content_of_a_message_is_returned_as_it_is(message: Any, content: Any) -> None:
    assert get_content(message) == content


@pytest.mark.parametrize(
    ("messages", "last"),
    [
        ([{"role": "user", "content": "A"}, {"role": "user", "content": "B"}], "B"),
        ([{"role": "user", "content": "A"}, {"role": "assistant", "content": "B"}], "A"),
        ([Message("user", "A"), Message("assistant", "B")], "A"),
        ([{"role": "user", "content": PARTS}], PARTS),
        ([{"role": "user", "content": "A"}, {"role": "user"}], ""),
        ([{"role": "user", "content": "A"}, "B", None], "A"),
        ([{"role": "assistant", "content": "A"}], None),
        ([], None),
    ],
)
def test_the_last_user_message_is_found(messages: list[Any], last: Any) -> None:
    assert get_last_user_message(messages) == last


def test_a_string_is_the_last_user_input() -> None:
    items = [{"role": "user", "content": "A"}, {"role": "assistant", "content": "B"}]
    assert get_last_user_input_text(items) == "A"


def test_the_last_text_part_is_the_last_user_input() -> None:
    content = [
        {"type": "input_text", "text": "A"},
        {"type": "input_text", "text": "B"},
        {"type": "input_image", "image_url": "data:image/png;base64,aGk="},
        "C",
    ]
    items = [{"type": "message", "role": "user", "content": content}]
    assert get_last_user_input_text(items) == "B"


def test_user_items_without_text_are_passed_over() -> None:
    items = [
        {"role": "user", "content": "A"},
        {"role": "user", "content": [{"type": "input_image"}]},
        {"role": "user", "content": None},
        {"role": "user", "type": "function_call_output", "content": "B"},
        {"role": "user", "type": ["odd"], "content": "C"},
        "D",
    ]
    assert get_last_user_input_text(items) == "A"


def test_a_text_that_is_no_string_is_no_input() -> None:
    items = [{"role": "user", "content": [{"type": "input_text", "text": 5}]}]
    assert get_last_user_input_text(items) is None


def test_no_user_item_is_no_input() -> None:
    assert get_last_user_input_text([{"role": "assistant", "content": "A"}]) is None


def test_the_files_of_all_user_items_are_found() -> None:
    first = {"type": "input_file", "file_id": "file_1", "filename": "a.txt"}
    second = {"type": "input_file", "file_id": "file_2"}
    without_id = {"type": "input_file", "file_data": "aGk="}
    items = [
        {"role": "user", "content": [{"type": "input_text", "text": "A"}, first, without_id, "B"]},
        {"role": "assistant", "content": [{"type": "input_file", "file_id": "file_3"}]},
        {"role": "user", "content": "C"},
        "D",
        {"role": "user", "content": [second]},
    ]
    assert get_input_files(items) == [first, second]


def test_a_responses_conversation_becomes_chat_messages() -> None:
    items = [
        {"role": "developer", "content": "Be brief."},
        {"role": "system", "content": "Be kind."},
        {
            "type": "message",
            "role": "user",
            "content": [
                {"type": "input_text", "text": "A"},
                {"type": "input_image", "image_url": "https://example.com/a.png"},
                {"type": "input_text", "text": "B"},
            ],
        },
        {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "call_1", "output": "sunny"},
        {"role": "assistant", "content": [{"type": "output_text", "text": "It is sunny."}]},
    ]
    call = ToolCall(tool_name="weather", arguments={}, id="call_1")
    assert chat_messages_from_openai_response(items) == [
        ChatMessage.from_system("Be brief."),
        ChatMessage.from_system("Be kind."),
        ChatMessage.from_user("A\nB"),
        ChatMessage.from_assistant(tool_calls=[call]),
        ChatMessage.from_tool("sunny", origin=call),
        ChatMessage.from_assistant("It is sunny."),
    ]


def test_responses_items_without_text_or_of_another_kind_are_skipped() -> None:
    items: list[Any] = [
        {"role": "user", "content": ""},
        {"role": "user", "content": None},
        {"role": "user", "content": [{"type": "input_image"}, {"type": "input_text", "text": ""}]},
        {"role": "critic", "content": "A"},
        {"type": "reasoning", "summary": []},
        "B",
    ]
    assert chat_messages_from_openai_response(items) == []


@pytest.mark.parametrize(
    ("arguments", "read"),
    [
        ('{"city": "Berlin"}', {"city": "Berlin"}),
        ({"city": "Berlin"}, {"city": "Berlin"}),
        ("{broken", {}),
        ("[1]", {}),
        ("", {}),
        (None, {}),
        (5, {}),
    ],
)
def test_the_arguments_of_a_function_call_item_are_read_leniently(
    arguments: Any, read: dict[str, Any]
) -> None:
    item = {"type": "function_call", "id": "fc_1", "name": "weather", "arguments": arguments}
    call = ToolCall(tool_name="weather", arguments=read, id="fc_1")
    expected = [ChatMessage.from_assistant(tool_calls=[call])]
    assert chat_messages_from_openai_response([item]) == expected


def test_a_function_call_item_without_id_or_name_gets_them() -> None:
    (message,) = chat_messages_from_openai_response([{"type": "function_call", "call_id": ""}])
    call = message.tool_calls[0]
    assert call.tool_name == "function"
    assert call.id is not None
    assert call.id.startswith("call_")
    assert len(call.id) == len("call_") + 24


def test_an_output_item_that_answers_no_known_call_is_kept() -> None:
    items = [
        {"type": "function_call_output", "call_id": "call_9", "output": {"sun": True}},
        {"type": "function_call_output"},
    ]
    nameless = ToolCall(tool_name="function", arguments={}, id=None)
    assert chat_messages_from_openai_response(items) == [
        ChatMessage.from_tool(
            '{"sun": true}', origin=ToolCall(tool_name="function", arguments={}, id="call_9")
        ),
        ChatMessage.from_tool("", origin=nameless),
    ]


def test_a_chat_conversation_becomes_chat_messages() -> None:
    messages = [
        {"role": "developer", "content": "Be brief."},
        {
            "role": "system",
            "content": [{"type": "text", "text": "A"}, {"type": "text", "text": "B"}],
        },
        {"role": "user", "content": "Weather in Berlin?", "name": "Ada"},
        {"role": "assistant", "content": None, "tool_calls": [SENT_CALL]},
        {"role": "tool", "tool_call_id": "call_1", "content": "sunny"},
        {"role": "assistant", "content": "It is sunny."},
        {"role": "user", "content": ""},
    ]
    assert chat_messages_from_openai(messages) == [
        ChatMessage.from_system("Be brief."),
        ChatMessage.from_system("A\nB"),
        ChatMessage.from_user("Weather in Berlin?", name="Ada"),
        ChatMessage.from_assistant(tool_calls=[WEATHER]),
        ChatMessage.from_tool("sunny", origin=WEATHER),
        ChatMessage.from_assistant("It is sunny."),
        ChatMessage.from_user(""),
    ]


@pytest.mark.parametrize(
    "message",
    [
        ChatMessage.from_user("Hello", name="Ada"),
        ChatMessage.from_user(
            content_parts=[
                TextContent("What is this?"),
                ImageContent(base64_image="aGVsbG8=", mime_type="image/png", detail="low"),
            ]
        ),
        ChatMessage.from_system("Be brief."),
        ChatMessage.from_assistant("Hello"),
        ChatMessage.from_assistant("", tool_calls=[WEATHER]),
        ChatMessage.from_assistant(meta={"refusal": "No."}),
        ChatMessage.from_assistant("Well,", meta={"refusal": "no."}),
    ],
)
def test_what_haystack_sends_to_openai_is_read_back(message: ChatMessage) -> None:
    assert chat_messages_from_openai([message.to_openai_dict_format()]) == [message]


def test_a_tool_result_without_a_known_call_takes_the_name_it_carries() -> None:
    messages = [
        {"role": "tool", "tool_call_id": "call_9", "name": "weather", "content": "sunny"},
        {"role": "tool", "content": [{"type": "text", "text": "rainy"}]},
    ]
    assert chat_messages_from_openai(messages) == [
        ChatMessage.from_tool(
            "sunny", origin=ToolCall(tool_name="weather", arguments={}, id="call_9")
        ),
        ChatMessage.from_tool(
            "rainy", origin=ToolCall(tool_name="function", arguments={}, id=None)
        ),
    ]


@pytest.mark.parametrize("arguments", [{}, "", None])
def test_arguments_may_be_an_object_or_missing(arguments: Any) -> None:
    sent = {"id": "call_1", "function": {"name": "now", "arguments": arguments}}
    (message,) = chat_messages_from_openai([{"role": "assistant", "tool_calls": [sent]}])
    assert message.tool_calls == [ToolCall(tool_name="now", arguments={}, id="call_1")]


@pytest.mark.parametrize(
    ("message", "param", "text"),
    [
        ("Hello", "messages[1]", "messages[1] is of type 'str'."),
        ({"content": "A"}, "messages[1].role", "messages[1].role is None."),
        ({"role": ["user"]}, "messages[1].role", "messages[1].role is ['user']."),
        ({"role": "user"}, "messages[1].content", "messages[1].content is missing."),
        (
            {"role": "user", "content": list[Any]()},
            "messages[1].content",
            "messages[1].content is an empty list.",
        ),
        (
            {"role": "user", "content": "A", "name": 5},
            "messages[1].name",
            "messages[1].name is of type 'int'.",
        ),
        (
            {"role": "system", "content": 5},
            "messages[1].content",
            "messages[1].content is of type 'int'.",
        ),
        ({"role": "assistant"}, "messages[1].content", "messages[1] has no content."),
        (
            {"role": "assistant", "refusal": 5},
            "messages[1].refusal",
            "messages[1].refusal is of type 'int'.",
        ),
        (
            {"role": "assistant", "tool_calls": {"id": "call_1"}},
            "messages[1].tool_calls",
            "messages[1].tool_calls is of type 'dict'.",
        ),
        (
            {"role": "assistant", "tool_calls": ["weather"]},
            "messages[1].tool_calls[0].function",
            "messages[1].tool_calls[0].function is missing.",
        ),
        (
            {"role": "assistant", "tool_calls": [{"id": 5, "function": {"name": "now"}}]},
            "messages[1].tool_calls[0].id",
            "messages[1].tool_calls[0].id is of type 'int'.",
        ),
        (
            {"role": "assistant", "tool_calls": [{"function": {"arguments": "{}"}}]},
            "messages[1].tool_calls[0].function.name",
            "messages[1].tool_calls[0].function.name is missing.",
        ),
        (
            {"role": "assistant", "tool_calls": [{"function": {"name": "a", "arguments": "[1]"}}]},
            "messages[1].tool_calls[0].function.arguments",
            "messages[1].tool_calls[0].function.arguments is of type 'list'.",
        ),
        (
            {"role": "assistant", "tool_calls": [{"function": {"name": "a", "arguments": "{"}}]},
            "messages[1].tool_calls[0].function.arguments",
            (
                "messages[1].tool_calls[0].function.arguments is not JSON: Expecting property name "
                "enclosed in double quotes: line 1 column 2 (char 1)."
            ),
        ),
        (
            {"role": "tool", "content": "A", "tool_call_id": 5},
            "messages[1].tool_call_id",
            "messages[1].tool_call_id is of type 'int'.",
        ),
    ],
)
def test_a_message_that_cannot_be_converted_is_refused_by_its_place(
    message: Any, param: str, text: str
) -> None:
    refusal = refusal_of({"role": "user", "content": "Hello"}, message)
    assert (refusal.param, refusal.message) == (param, text)
