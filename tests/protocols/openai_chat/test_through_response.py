"""How chats look to a response method, and what its answers say in a chat."""

from collections.abc import Generator
from typing import Any

import orjson
import pytest
from haystack.dataclasses import ReasoningContent, StreamingChunk, ToolCallDelta
from openai.types.responses import Response

from hayserve import events
from hayserve.errors import InvalidRequest
from hayserve.events import Delta, ModelFinished, ReasoningDelta, TextDelta
from hayserve.protocols.openai_chat.through_response import (
    events_of_response,
    failure_in,
    input_items,
    response_body,
    usage_of_response,
)
from protocols.openai_chat.served import (
    Wrapper,
    ask,
    chunks_in,
    completion_in,
    deployed,
    said_in,
    served,
)

TOOL = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}
FLAT = {"type": "function", "name": "add", "parameters": {"type": "object"}}
PNG = "data:image/png;base64,aGVsbG8="
PDF = {"filename": "a.pdf", "file_data": "data:application/pdf;base64,aGVsbG8="}
SOUND = {"data": "aGVsbG8=", "format": "wav"}
CALL = {"id": "call_a", "type": "function", "function": {"name": "add", "arguments": "[1]"}}


class Responds(Wrapper):
    """Thinks, says what it was given, and asks the client for a call if it has a tool."""

    def run_response(
        self, model: str, input_items: list[dict[str, Any]], body: dict[str, Any]
    ) -> Generator[object]:
        yield StreamingChunk("", reasoning=ReasoningContent("Hmm."), index=0)
        yield orjson.dumps([input_items, body], option=orjson.OPT_SORT_KEYS).decode()
        if "tools" in body:
            call = ToolCallDelta(index=0, tool_name="add", id="call_a", arguments="[1]")
            yield StreamingChunk("", tool_calls=[call], index=0)
            yield StreamingChunk("", finish_reason="tool_calls")


class Builds(Wrapper):
    """Returns an object of OpenAI's."""

    def __init__(self, **fields: Any) -> None:
        super().__init__()
        self._fields = fields

    def run_response(
        self, model: str, input_items: list[dict[str, Any]], body: dict[str, Any]
    ) -> Response:
        return Response.model_validate(
            {
                "id": "resp_theirs",
                "object": "response",
                "created_at": 1,
                "model": "theirs",
                "output": [],
                "parallel_tool_calls": True,
                "tool_choice": "auto",
                "tools": [],
                **self._fields,
            }
        )


def part_of(part: dict[str, Any], role: str = "user") -> Any:
    (item,) = input_items([{"role": role, "content": [part]}])
    return item["content"][0]


def body_of(**fields: Any) -> dict[str, Any]:
    return response_body({"model": "it", "messages": [], "stream": False, **fields}, [])


async def answer_of(wrapper: Wrapper, **fields: Any) -> tuple[Any, Any]:
    """What a chat is answered, at once and as a stream: the message, and what the stream says."""
    async with served(deployed("it", wrapper)) as client:
        plain = completion_in(await ask(client, **fields))
        streamed = await ask(client, stream=True, **fields)
    assert streamed.status_code == 200, streamed.text
    return plain.choices[0], chunks_in(streamed.content)


@pytest.mark.anyio
async def test_a_deployment_that_only_responds_is_asked_with_everything_that_a_chat_has() -> None:
    parts = [
        {"type": "text", "text": "Hi"},
        {"type": "image_url", "image_url": {"url": PNG}},
        {"type": "file", "file": PDF},
        {"type": "input_audio", "input_audio": SOUND},
    ]
    schema = {"name": "number", "schema": {"type": "integer"}}
    choice, chunks = await answer_of(
        Responds(),
        messages=[{"role": "user", "content": parts}],
        response_format={"type": "json_schema", "json_schema": schema},
    )
    items, body = orjson.loads(choice.message.content)
    assert items == [
        {
            "type": "message",
            "role": "user",
            "content": [
                {"type": "input_text", "text": "Hi"},
                {"type": "input_image", "image_url": PNG, "detail": "auto"},
                {"type": "input_file", **PDF},
                {"type": "input_audio", "input_audio": SOUND},
            ],
        }
    ]
    text = {"format": {"type": "json_schema", **schema}}
    assert body == {"model": "it", "input": items, "stream": False, "text": text}
    assert choice.message.to_dict()["reasoning_content"] == "Hmm."
    assert orjson.loads(said_in(chunks)) == [items, {**body, "stream": True}]


@pytest.mark.anyio
async def test_a_deployment_that_only_responds_may_ask_the_client_for_calls() -> None:
    choice, chunks = await answer_of(Responds(), tools=[TOOL], tool_choice="auto")
    deltas: list[Any] = [chunk.choices[0].delta for chunk in chunks]
    calls: list[Any] = [call for delta in deltas for call in delta.tool_calls or ()]
    assert choice.finish_reason == chunks[-1].choices[0].finish_reason == "tool_calls"
    assert [call.to_dict() for call in choice.message.tool_calls] == [CALL]
    assert [(call.id, call.function.name, call.function.arguments) for call in calls] == [
        ("call_a", "add", "[1]")
    ]


@pytest.mark.anyio
async def test_a_response_that_the_wrapper_built_is_said_in_a_chats_words() -> None:
    refused = {"type": "refusal", "refusal": "No."}
    message = {"id": "m", "type": "message", "role": "assistant", "status": "completed"}
    usage = {
        "input_tokens": 2,
        "input_tokens_details": {"cached_tokens": 1, "cache_write_tokens": 0},
        "output_tokens": 3,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 5,
    }
    wrapper = Builds(output=[{**message, "content": [refused]}], usage=usage, status="completed")
    async with served(deployed("it", wrapper)) as client:
        plain = completion_in(await ask(client))
        stream = await ask(client, stream=True, stream_options={"include_usage": True})
    *chunks, last = chunks_in(stream.content)
    assert plain.choices[0].message.content == said_in(chunks) == "No."
    assert plain.usage is not None
    assert last.usage is not None
    assert plain.usage.total_tokens == last.usage.total_tokens == 5
    assert plain.id.startswith("chatcmpl-")


@pytest.mark.anyio
@pytest.mark.parametrize("stream", [False, True])
async def test_a_response_that_failed_is_an_error_with_a_status(stream: bool) -> None:
    error = {"code": "server_error", "message": "No model."}
    async with served(deployed("it", Builds(status="failed", error=error))) as client:
        answer = await ask(client, stream=stream)
    assert answer.status_code == 500
    assert "failed in run_response: No model." in answer.json()["error"]["message"]


def test_a_conversation_with_calls_becomes_items() -> None:
    second = {"id": "call_b", "function": {"name": "now"}}
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    assert input_items(
        [
            {"role": "developer", "content": "Be kind."},
            {"role": "assistant", "content": "Wait.", "tool_calls": [CALL, second]},
            {"role": "tool", "tool_call_id": "call_a", "content": "1"},
            {"role": "tool", "tool_call_id": "call_b", "content": parts},
            {"role": "assistant", "content": None, "refusal": "No."},
        ]
    ) == [
        {"type": "message", "role": "developer", "content": "Be kind."},
        {"type": "message", "role": "assistant", "content": "Wait."},
        {"type": "function_call", "call_id": "call_a", "name": "add", "arguments": "[1]"},
        {"type": "function_call", "call_id": "call_b", "name": "now", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "call_a", "output": "1"},
        {"type": "function_call_output", "call_id": "call_b", "output": "a\nb"},
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "refusal", "refusal": "No."}],
        },
    ]


@pytest.mark.parametrize(
    ("part", "role", "expected"),
    [
        ({"type": "text", "text": "A"}, "assistant", {"type": "output_text", "text": "A"}),
        ({"type": "text"}, "system", {"type": "input_text", "text": ""}),
        ({"type": "refusal"}, "assistant", {"type": "refusal", "refusal": ""}),
        (
            {"type": "image_url", "image_url": PNG},
            "user",
            {"type": "input_image", "image_url": PNG, "detail": "auto"},
        ),
        (
            {"type": "image_url", "image_url": {"url": PNG, "detail": "low"}},
            "user",
            {"type": "input_image", "image_url": PNG, "detail": "low"},
        ),
    ],
)
def test_a_part_has_a_name_of_its_own_there(part: Any, role: str, expected: Any) -> None:
    assert part_of(part, role) == expected


@pytest.mark.parametrize(
    ("message", "where"),
    [
        ({"role": "function", "content": "1"}, "role"),
        ({"role": "user", "content": 5}, "content"),
        ({"role": "user", "content": ["Hi"]}, "content[0]"),
        ({"role": "user", "content": [{"type": "video"}]}, "content[0]"),
        ({"role": "user", "content": [{"type": "image_url"}]}, "content[0].image_url"),
        ({"role": "user", "content": [{"type": "file"}]}, "content[0].file"),
        ({"role": "user", "content": [{"type": "input_audio"}]}, "content[0].input_audio"),
        ({"role": "tool", "content": ["1"]}, "content[0]"),
        ({"role": "assistant", "tool_calls": "add"}, "tool_calls"),
        ({"role": "assistant", "tool_calls": ["add"]}, "tool_calls[0]"),
        ({"role": "assistant", "tool_calls": [{"id": "a"}]}, "tool_calls[0].function"),
    ],
)
def test_what_has_no_form_as_an_item_is_named_by_its_place(message: Any, where: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        input_items([{"role": "user", "content": "Hi"}, message])
    assert refused.value.param == f"messages[1].{where}"


def test_parameters_get_the_names_that_they_have_there() -> None:
    assert body_of(
        temperature=0.5,
        top_p=None,
        max_tokens=9,
        reasoning_effort="low",
        verbosity="low",
        response_format={"type": "json_object"},
        tools=[TOOL],
        tool_choice={"type": "function", "function": {"name": "add"}},
        metadata={"topic": "x"},
        store=True,
        n=1,
        stream_options={"include_usage": True},
        top_k=5,
    ) == {
        "model": "it",
        "input": [],
        "stream": False,
        "temperature": 0.5,
        "max_output_tokens": 9,
        "reasoning": {"effort": "low"},
        "text": {"format": {"type": "json_object"}, "verbosity": "low"},
        "tools": [FLAT],
        "tool_choice": {"type": "function", "name": "add"},
        "metadata": {"topic": "x"},
        "top_k": 5,
    }


def test_the_tools_that_are_allowed_are_not_nested_either() -> None:
    allowed = {"mode": "auto", "tools": [{"type": "function", "function": {"name": "add"}}]}
    choice = {"type": "allowed_tools", "allowed_tools": allowed}
    assert body_of(tool_choice=choice)["tool_choice"] == {
        "type": "allowed_tools",
        "mode": "auto",
        "tools": [{"type": "function", "name": "add"}],
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("audio", {"voice": "alloy"}),
        ("frequency_penalty", 0.5),
        ("function_call", "auto"),
        ("functions", [{"name": "add"}]),
        ("logit_bias", {"50256": -100}),
        ("modalities", ["text", "audio"]),
        ("prediction", {"type": "content"}),
        ("presence_penalty", 0.5),
        ("seed", 0),
        ("stop", ["\n"]),
        ("web_search_options", {"search_context_size": "low"}),
    ],
)
def test_a_parameter_that_has_no_form_there_is_refused(name: str, value: object) -> None:
    with pytest.raises(InvalidRequest, match=f"'{name}' cannot be given") as refused:
        body_of(**{name: value})
    assert refused.value.param == name


def test_a_parameter_that_asks_for_nothing_is_taken() -> None:
    asked = {"frequency_penalty": 0, "stop": [], "modalities": ["text"], "seed": None}
    assert body_of(**asked) == body_of()


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": "add"}, "tools"),
        ({"tools": ["add"]}, "tools[0]"),
        ({"tools": [{"type": "custom", "custom": {"name": "a"}}]}, "tools[0]"),
        ({"tools": [{"type": "function"}]}, "tools[0].function"),
        ({"tool_choice": 5}, "tool_choice"),
        ({"tool_choice": {"type": "custom"}}, "tool_choice"),
        ({"tool_choice": {"type": "allowed_tools"}}, "tool_choice.allowed_tools"),
        (
            {"tool_choice": {"type": "allowed_tools", "allowed_tools": {"tools": "add"}}},
            "tool_choice.allowed_tools.tools",
        ),
        ({"response_format": "json"}, "response_format"),
        ({"response_format": {"json_schema": "n"}}, "response_format.json_schema"),
    ],
)
def test_a_parameter_of_the_wrong_type_is_named(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        body_of(**fields)
    assert refused.value.param == param


def said(*output: dict[str, Any], **fields: Any) -> list[Delta]:
    return events_of_response({"object": "response", "output": list(output), **fields})


def test_a_response_says_its_reasoning_its_text_and_its_calls() -> None:
    texts = [{"text": "A"}, {"refusal": "B"}, {"text": ""}]
    call = {"type": "function_call", "call_id": "a", "name": "add", "arguments": "[1]"}
    assert said(
        {"type": "reasoning", "summary": [{"text": "Hmm"}], "content": [{"text": "unsaid"}]},
        {"type": "reasoning", "summary": [], "content": [{"text": "Hm"}]},
        {"type": "mcp_call", "name": "search"},
        {"type": "message", "content": texts},
        {"type": "message"},
        call,
        {"type": "function_call", "call_id": "b", "name": "now"},
    ) == [
        ReasoningDelta("Hmm"),
        ReasoningDelta("Hm"),
        TextDelta("A"),
        TextDelta("B"),
        events.ToolCallDelta(0, id="a", name="add", arguments="[1]"),
        events.ToolCallDelta(1, id="b", name="now"),
    ]


@pytest.mark.parametrize(
    ("reason", "finished"),
    [("max_output_tokens", "length"), ("content_filter", "content_filter")],
)
def test_a_response_that_was_cut_off_says_why(reason: str, finished: Any) -> None:
    assert said(incomplete_details={"reason": reason}) == [ModelFinished(finished)]
    assert said(incomplete_details=None) == []


def test_what_a_response_used_is_said_in_a_chats_words() -> None:
    details = {"cached_tokens": 1}
    usage = {"input_tokens": 2, "output_tokens": 3, "input_tokens_details": details}
    assert usage_of_response({"usage": usage}) == {
        "prompt_tokens": 2,
        "completion_tokens": 3,
        "total_tokens": 5,
        "prompt_tokens_details": details,
        "completion_tokens_details": None,
    }
    assert usage_of_response({}) is None


@pytest.mark.parametrize(
    ("made", "why"),
    [
        ({"object": "chat.completion", "status": "failed"}, None),
        ({"object": "response", "status": "completed"}, None),
        ({"object": "response", "status": "failed"}, "it gives no reason."),
        (
            {"object": "response", "status": "failed", "error": {"message": "No model."}},
            "No model.",
        ),
    ],
)
def test_a_response_may_have_failed(made: dict[str, Any], why: str | None) -> None:
    assert failure_in(made) == why
