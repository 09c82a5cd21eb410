"""What clients read of each event of a run."""

import json
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from haystack.dataclasses import ChatMessage, ToolCall
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import BaseModel, TypeAdapter

from hayserve.errors import (
    HayserveError,
    InvalidRequest,
    WrapperFailed,
    WrapperRefused,
)
from hayserve.events import (
    BytesDelta,
    ClientEvent,
    Event,
    ModelFinished,
    ReadyMade,
    ReasoningDelta,
    RunCancelled,
    RunFailed,
    RunFinished,
    StreamOpened,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from hayserve.protocols.openai_responses.encode import (
    ResponseEncoder,
    as_stream,
    whole_response,
)
from hayserve.protocols.openai_responses.response_object import new_response
from hayserve.runs.run import Run
from hayserve.wrappers.capabilities import Method

RUN_ID = "0123456789abcdef01234567"
READER: TypeAdapter[ResponseStreamEvent] = TypeAdapter(ResponseStreamEvent)
METHOD = Method("run_response", lambda: None, is_async=False, wants_headers=False)
RUN = Run(RUN_ID, "echo", METHOD, {})


class Completion(BaseModel):
    """An object as wrappers build it."""

    id: str = "mine"
    object: str
    choices: list[dict[str, Any]] = []
    output: list[dict[str, Any]] | None = None


def a_response() -> dict[str, Any]:
    return new_response({"model": "echo"}, run_id=RUN_ID, created_at=1)


def frames_of(
    events: Sequence[Event], *, wants_events: bool = False, **asked: Any
) -> list[dict[str, Any]]:
    """The data of all frames, after checks that hold for every stream."""
    encoder = ResponseEncoder({**a_response(), **asked}, run_id=RUN_ID, events=wants_events)
    text = b"".join(map(encoder.encode, events)).decode()
    frames = [_frame(each) for each in text.split("\n\n")[:-1]]
    assert [frame["sequence_number"] for frame in frames] == list(range(len(frames)))
    return frames


def _frame(text: str) -> dict[str, Any]:
    event, data = text.split("\n")
    frame: dict[str, Any] = json.loads(data.removeprefix("data: "))
    assert event == f"event: {frame['type']}"
    if frame["type"].startswith("response."):
        READER.validate_python(frame, strict=True)
    return frame


def kinds_of(events: Sequence[Event]) -> list[str]:
    return [frame["type"].removeprefix("response.") for frame in frames_of(events)]


def ending_of(events: Sequence[Event]) -> dict[str, Any]:
    response: dict[str, Any] = frames_of(events)[-1]["response"]
    Response.model_validate(response, strict=True)
    return response


def test_text_is_one_message_from_created_to_completed() -> None:
    events: list[Event] = [StreamOpened(), TextDelta("Hel"), TextDelta("lo"), RunFinished()]

    frames = frames_of(events)

    assert kinds_of(events) == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    assert [frame["delta"] for frame in frames[4:6]] == ["Hel", "lo"]
    assert frames[6]["text"] == "Hello"


def test_the_ids_of_a_response_and_its_items_begin_with_the_runs() -> None:
    response = ending_of([TextDelta("a"), RunFinished()])

    assert response["id"] == f"resp_{RUN_ID}00000000"
    assert response["output"][0]["id"] == f"msg_{RUN_ID}00000000"


def test_reasoning_is_an_item_of_its_own_before_the_message() -> None:
    events: list[Event] = [ReasoningDelta("hm"), ReasoningDelta("m"), TextDelta("a"), RunFinished()]

    assert kinds_of(events)[2:9] == [
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
    ]
    reasoning, message = ending_of(events)["output"]
    assert reasoning["summary"] == [{"type": "summary_text", "text": "hmm"}]
    assert message["content"][0]["text"] == "a"


def test_a_call_of_the_clients_tool_is_a_function_call_item() -> None:
    events: list[Event] = [
        TextDelta("Look: "),
        ToolCallDelta(0, id="call_a", name="add"),
        ToolCallDelta(0, arguments='{"a":'),
        ToolCallDelta(0, arguments="1}"),
        ModelFinished("tool_calls"),
        RunFinished(),
    ]

    assert kinds_of(events)[7:13] == [
        "output_item.done",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
    ]
    assert ending_of(events)["output"][1] == {
        "id": f"fc_{RUN_ID}00000001",
        "type": "function_call",
        "status": "completed",
        "call_id": "call_a",
        "name": "add",
        "arguments": '{"a":1}',
    }


def test_pieces_of_parallel_calls_may_alternate() -> None:
    events: list[Event] = [
        ToolCallDelta(0, id="call_a", name="add"),
        ToolCallDelta(1, id="call_b", name="mul"),
        ToolCallDelta(0, arguments="[1]"),
        ToolCallDelta(1, arguments="[2]"),
        TextDelta("wait"),
        RunFinished(),
    ]

    calls = ending_of(events)["output"]

    assert [call.get("arguments") for call in calls] == ["[1]", "[2]", None]


def test_a_new_id_at_the_same_index_begins_a_new_call() -> None:
    events: list[Event] = [
        ToolCallDelta(0, id="call_a", name="add"),
        ToolCallDelta(0, id="call_b", name="add"),
        RunFinished(),
    ]

    assert [call["call_id"] for call in ending_of(events)["output"]] == ["call_a", "call_b"]


def test_a_call_without_id_and_arguments_is_complete_nevertheless() -> None:
    (call,) = ending_of([ToolCallDelta(0, name="now"), RunFinished()])["output"]

    assert call["call_id"] == f"call_{RUN_ID}00000000"
    assert call["arguments"] == "{}"


def test_the_wrappers_own_events_come_only_to_clients_that_asked() -> None:
    status = ClientEvent("status", {"description": "Looking"})

    assert frames_of([status, RunFinished()]) == frames_of([RunFinished()])
    assert frames_of([status], wants_events=True)[2] == {
        "type": "status",
        "sequence_number": 2,
        "data": {"description": "Looking"},
    }


def test_bytes_are_read_as_text() -> None:
    (message,) = ending_of([BytesDelta(b"caf\xc3\xa9"), RunFinished()])["output"]

    assert message["content"][0]["text"] == "café"


def test_text_that_utf8_cannot_say_arrives_as_it_is() -> None:
    frames = frames_of([TextDelta("\ud83d"), TextDelta('"\n'), RunFinished()])

    assert [frame["delta"] for frame in frames[4:6]] == ["\ud83d", '"\n']


def test_an_answer_without_words_is_an_empty_message() -> None:
    events: list[Event] = [StreamOpened(), TextDelta(""), RunFinished()]

    (message,) = ending_of(events)["output"]

    assert message["content"][0]["text"] == ""


@pytest.mark.parametrize(
    ("reason", "told"), [("length", "max_output_tokens"), ("content_filter", "content_filter")]
)
def test_an_answer_that_was_cut_off_is_incomplete(reason: Any, told: str) -> None:
    events: list[Event] = [TextDelta("a"), ModelFinished(reason), RunFinished()]

    response = ending_of(events)

    assert kinds_of(events)[-1] == "incomplete"
    assert response["status"] == response["output"][0]["status"] == "incomplete"
    assert response["incomplete_details"] == {"reason": told}


def test_only_the_last_model_calls_reason_counts() -> None:
    events: list[Event] = [
        ModelFinished("length"),
        TextDelta("a"),
        ModelFinished("stop"),
        RunFinished(),
    ]

    assert ending_of(events)["status"] == "completed"


def test_usage_is_told_in_openais_words() -> None:
    usage = Usage(input_tokens=5, output_tokens=3, cached_tokens=2, reasoning_tokens=1)

    assert ending_of([TextDelta("a"), RunFinished(usage=usage)])["usage"] == {
        "input_tokens": 5,
        "input_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 0},
        "output_tokens": 3,
        "output_tokens_details": {"reasoning_tokens": 1},
        "total_tokens": 8,
    }


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (WrapperFailed("no model"), "server_error"),
        (WrapperRefused(429, "slow down"), "rate_limit_exceeded"),
        (InvalidRequest("no city"), "invalid_prompt"),
    ],
)
def test_a_failure_after_the_first_word_is_told_and_what_was_said_is_kept(
    error: HayserveError, code: str
) -> None:
    events: list[Event] = [TextDelta("a"), RunFailed(error)]

    response = ending_of(events)

    assert kinds_of(events)[-1] == "failed"
    assert response["status"] == "failed"
    assert response["error"] == {"code": code, "message": error.message}
    assert response["output"][0]["status"] == "incomplete"


def test_an_answer_that_is_not_in_the_form_that_was_asked_for_has_failed() -> None:
    response = {**a_response(), "text": {"format": {"type": "json_object"}}}
    encoder = ResponseEncoder(response, run_id=RUN_ID)
    for event in (TextDelta("no JSON"), RunFinished()):
        encoder.encode(event)

    assert encoder.response["status"] == "failed"
    assert "it is not JSON" in encoder.response["error"]["message"]
    assert encoder.response["output"][0]["content"][0]["text"] == "no JSON"


def test_a_run_that_was_stopped_has_failed() -> None:
    assert ending_of([StreamOpened(), RunCancelled("shutdown")])["error"] == {
        "code": "server_error",
        "message": "The run was stopped: shutdown. "
        "Send the request again if that was not intended.",
    }


def test_a_yielded_response_object_ends_the_stream_under_the_id_it_began_with() -> None:
    data: dict[str, Any] = {"id": "mine", "object": "response", "output": [], "status": "completed"}
    events: list[Event] = [StreamOpened(), ReadyMade(data), TextDelta("late"), RunFinished()]

    assert kinds_of(events) == ["created", "in_progress", "completed"]
    assert ending_of(events)["id"] == a_response()["id"]


def test_a_response_object_alone_keeps_its_own_id_and_status() -> None:
    data = {"id": "mine", "object": "response", "status": "incomplete"}

    frames = frames_of([ReadyMade(data)], store=False)

    assert [frame["response"]["id"] for frame in frames] == ["mine"] * 3
    assert frames[-1]["type"] == "response.incomplete"


def test_a_chat_completion_is_read_as_what_it_says() -> None:
    message = {"content": "Hi", "reasoning_content": "hm"}
    chunk = {"delta": {"content": " there"}, "finish_reason": "length"}
    events: list[Event] = [
        ReadyMade({"object": "chat.completion", "choices": [{"message": message}]}),
        ReadyMade({"object": "chat.completion.chunk", "choices": [chunk]}),
        ReadyMade({"object": "chat.completion.chunk", "choices": []}),
        RunFinished(),
    ]

    response = ending_of(events)

    assert response["output"][1]["content"][0]["text"] == "Hi there"
    assert response["status"] == "incomplete"


def test_an_object_of_another_kind_is_the_wrappers_failure() -> None:
    response = ending_of([ReadyMade({"object": "embedding"})])

    assert "'embedding'" in response["error"]["message"]


def test_a_whole_response_is_what_a_stream_ends_with() -> None:
    events: list[Event] = [ReasoningDelta("hm"), TextDelta("a"), RunFinished(usage=Usage(1, 2))]

    assert whole_response(events, response=a_response(), run_id=RUN_ID) == ending_of(events)


def test_there_is_no_whole_response_of_a_run_that_failed() -> None:
    failed = RunFailed(WrapperFailed("no model"))

    with pytest.raises(WrapperFailed, match="no model"):
        whole_response([TextDelta("a"), failed], response=a_response(), run_id=RUN_ID)


def test_what_a_wrapper_returns_is_as_if_it_had_been_streamed() -> None:
    usage = Usage(1, 2)

    assert as_stream([RunFinished("Hi", usage=usage)], run=RUN) == [
        TextDelta("Hi"),
        RunFinished(usage=usage),
    ]


def test_a_stream_stays_as_it_is() -> None:
    events: list[Event] = [StreamOpened(), TextDelta("a"), RunFinished()]

    assert as_stream(events, run=RUN) == events


def test_a_returned_object_in_openais_form_is_passed_on() -> None:
    result = Completion(object="response")

    assert as_stream([RunFinished(result)], run=RUN)[0] == ReadyMade(
        {"id": "mine", "object": "response", "choices": []}
    )


def test_a_returned_chat_message_says_its_text_and_calls() -> None:
    message = ChatMessage.from_assistant("Hi", tool_calls=[ToolCall("add", {"a": 1}, id="1")])

    output = ending_of(as_stream([RunFinished(message)], run=RUN))["output"]

    assert output[0]["content"][0]["text"] == "Hi"
    assert output[1]["arguments"] == '{"a": 1}'


@pytest.mark.parametrize("result", [None, {"a": 1}, ["a"], SimpleNamespace(object="response")])
def test_what_is_no_answer_is_the_wrappers_failure(result: object) -> None:
    with pytest.raises(WrapperFailed, match="run_response: it returned") as caught:
        as_stream([RunFinished(result)], run=RUN)

    assert "generator" in caught.value.hint


def test_a_response_object_that_is_kept_is_found_by_the_id_that_it_is_sent_with() -> None:
    data = {"id": "mine", "object": "response", "status": "completed"}

    frames = frames_of([ReadyMade(data)])

    assert {frame["response"]["id"] for frame in frames} == {a_response()["id"]}
