"""What a response cites, in its stream and at its end."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from hayserve.errors import WrapperFailed
from hayserve.events import (
    Citation,
    Cited,
    Event,
    ModelFinished,
    ReasoningDelta,
    RunFailed,
    RunFinished,
    StreamOpened,
    TextDelta,
    ToolCallDelta,
    ToolFinished,
    ToolStarted,
)
from hayserve.protocols.openai_responses.encode import ResponseEncoder
from hayserve.protocols.openai_responses.response_object import new_response

RUN_ID = "0123456789abcdef01234567"
READER: TypeAdapter[ResponseStreamEvent] = TypeAdapter(ResponseStreamEvent)
CITED = Cited((Citation("A", url="https://a.org"), Citation("B", file_id="1", filename="b.pdf")))


def annotations_of(text: str) -> list[dict[str, Any]]:
    """What `CITED` is in a message of that text."""
    return [
        {
            "type": "url_citation",
            "start_index": 0,
            "end_index": len(text),
            "url": "https://a.org",
            "title": "A",
        },
        {"type": "file_citation", "index": len(text), "file_id": "1", "filename": "b.pdf"},
    ]


def frames_of(events: Sequence[Event]) -> list[dict[str, Any]]:
    """The data of all frames, each of which OpenAI's own reader can read."""
    response = new_response({"model": "it"}, run_id=RUN_ID, created_at=1)
    encoder = ResponseEncoder(response, run_id=RUN_ID)
    text = b"".join(map(encoder.encode, events)).decode()
    frames = [json.loads(frame.split("\ndata: ")[1]) for frame in text.split("\n\n")[:-1]]
    for number, frame in enumerate(frames):
        assert frame["sequence_number"] == number
        READER.validate_python(frame, strict=True)
    return frames


def output_of(events: Sequence[Event]) -> list[dict[str, Any]]:
    response: dict[str, Any] = frames_of(events)[-1]["response"]
    Response.model_validate(response, strict=True)
    return response["output"]


@pytest.mark.parametrize(
    "said",
    [
        [StreamOpened(), TextDelta("Hel"), TextDelta("lo"), CITED],
        [StreamOpened(), TextDelta("Hel"), CITED, TextDelta("lo")],
        [StreamOpened(), CITED, TextDelta("Hel"), TextDelta("lo")],
        [StreamOpened(), TextDelta("Hel"), CITED, TextDelta("lo"), CITED],
    ],
)
def test_documents_are_cited_for_the_whole_text_when_it_is_complete(said: list[Event]) -> None:
    frames = frames_of([*said, RunFinished()])

    assert [frame["type"].removeprefix("response.") for frame in frames[4:]] == [
        "output_text.delta",
        "output_text.delta",
        "output_text.annotation.added",
        "output_text.annotation.added",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    expected = annotations_of("Hello")
    assert frames[6:8] == [
        {
            "type": "response.output_text.annotation.added",
            "sequence_number": 6 + index,
            "item_id": f"msg_{RUN_ID}00000000",
            "output_index": 0,
            "content_index": 0,
            "annotation_index": index,
            "annotation": annotation,
        }
        for index, annotation in enumerate(expected)
    ]
    assert frames[9]["part"]["annotations"] == expected
    assert frames[10]["item"]["content"][0]["annotations"] == expected
    assert frames[11]["response"]["output"][0]["content"][0]["annotations"] == expected


def test_a_message_without_documents_has_no_annotations() -> None:
    [message] = output_of([TextDelta("Hi"), RunFinished()])

    assert message["content"][0]["annotations"] == []


@pytest.mark.parametrize(
    "before",
    [
        [],
        [ReasoningDelta("Hm.")],
        [ToolStarted("1", "add", {}), ToolFinished("1", "add", "3")],
        [TextDelta("Let me look."), ToolStarted("1", "add", {}), ToolFinished("1", "add", "3")],
    ],
)
def test_documents_are_cited_by_an_empty_message_where_nothing_was_said(
    before: list[Event],
) -> None:
    *others, message = output_of([*before, CITED, RunFinished()])

    assert message["content"] == [
        {"type": "output_text", "text": "", "annotations": annotations_of(""), "logprobs": []}
    ]
    assert "annotations': [{" not in str(others)


def test_only_the_message_that_documents_came_with_cites_them() -> None:
    tool = [ToolStarted("1", "add", {}), ToolFinished("1", "add", "3")]
    first, _, second = output_of([TextDelta("a"), CITED, *tool, TextDelta("b"), RunFinished()])

    assert first["content"][0]["annotations"] == annotations_of("a")
    assert second["content"][0]["annotations"] == []


def test_an_order_to_the_client_is_no_answer_that_cites() -> None:
    call = [ToolCallDelta(0, id="1", name="add"), ModelFinished("tool_calls")]

    [item] = output_of([*call, CITED, RunFinished()])

    assert item["type"] == "function_call"


def test_what_was_said_before_a_failure_keeps_its_documents() -> None:
    failed = RunFailed(WrapperFailed("no model"))

    [message] = output_of([TextDelta("a"), CITED, failed])

    assert message["status"] == "incomplete"
    assert message["content"][0]["annotations"] == annotations_of("a")
    assert output_of([CITED, failed]) == []


def test_a_tool_that_the_agent_executes_is_shown_from_its_arguments_to_its_result() -> None:
    tool = [ToolStarted("1", "add", {"a": 1}), ToolFinished("1", "add", "3")]

    frames = frames_of([*tool, TextDelta("It is 3."), RunFinished()])

    assert [frame["type"].removeprefix("response.") for frame in frames[2:9]] == [
        "output_item.added",
        "mcp_call.in_progress",
        "mcp_call_arguments.delta",
        "mcp_call_arguments.done",
        "mcp_call.completed",
        "output_item.done",
        "output_item.added",
    ]
    assert (frames[2]["item"]["status"], frames[2]["item"]["arguments"]) == ("in_progress", "")
    assert frames[4]["delta"] == frames[5]["arguments"] == '{"a":1}'
    assert frames[7]["item"] == {
        "id": f"mcp_{RUN_ID}00000000",
        "type": "mcp_call",
        "status": "completed",
        "server_label": "it",
        "name": "add",
        "arguments": '{"a":1}',
        "approval_request_id": None,
        "output": "3",
        "error": None,
    }


def test_a_tool_that_failed_says_why() -> None:
    tool = [ToolStarted("1", "add", {}), ToolFinished("1", "add", "no numbers", failed=True)]

    [item, _] = output_of([*tool, TextDelta("Sorry."), RunFinished()])

    assert (item["status"], item["output"]) == ("failed", None)
    assert item["error"] == {
        "type": "mcp_tool_execution_error",
        "content": [{"type": "text", "text": "no numbers"}],
    }


def test_several_tools_may_be_executed_at_the_same_time() -> None:
    tools: list[Event] = [
        ToolStarted("1", "add", {}),
        ToolStarted("2", "mul", {}),
        ToolFinished("2", "mul", "6"),
        ToolFinished("1", "add", "5"),
    ]

    items = output_of([*tools, RunFinished()])

    assert [(item["name"], item["output"]) for item in items] == [("add", "5"), ("mul", "6")]


def test_a_tool_without_a_result_is_incomplete() -> None:
    [item] = output_of([ToolStarted("1", "add", {}), RunFinished()])

    assert (item["status"], item["output"], item["error"]) == ("incomplete", None, None)


def test_a_result_of_a_tool_that_nobody_started_is_not_shown() -> None:
    [item] = output_of([ToolFinished("1", "add", "3"), TextDelta("Hi"), RunFinished()])

    assert item["type"] == "message"
