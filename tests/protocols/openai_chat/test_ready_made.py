from typing import Any

import pytest
from haystack.dataclasses import ChatMessage, ImageContent, ToolCall
from openai.types.chat import ChatCompletion
from openai.types.responses import Response

from hayserve.errors import WrapperFailed
from hayserve.events import (
    Delta,
    Event,
    ModelFinished,
    ReadyMade,
    ReasoningDelta,
    RunCancelled,
    RunFinished,
    StreamOpened,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from hayserve.protocols.openai_chat.ready_made import deltas_in, usage_in, with_answer
from hayserve.runs.run import Run
from hayserve.wrappers.capabilities import Method

METHOD = Method("run_chat_completion", function=print, is_async=False, wants_headers=False)
# OpenAI has no way to write a picture that a tool returned.
UNWRITABLE = ChatMessage.from_tool(
    [ImageContent("aGk=", mime_type="image/png", validation=False)], origin=ToolCall("draw", {})
)
RUN = Run("0123", "weather", METHOD, {})


def answered(result: object) -> list[Event]:
    usage = Usage(input_tokens=1)
    *said, closing = with_answer([RunFinished(result, usage=usage)], run=RUN)
    assert closing == RunFinished(result, usage=usage)
    return said


def test_a_string_is_the_answer() -> None:
    assert answered("Sunny.") == [TextDelta("Sunny.")]


def test_an_object_of_openai_is_the_answer() -> None:
    message = {"role": "assistant", "content": "Hi"}
    data: dict[str, Any] = {
        "id": "theirs",
        "object": "chat.completion",
        "created": 1,
        "model": "theirs",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
    }
    assert answered(ChatCompletion.model_validate(data)) == [ReadyMade(data)]


def response(**fields: Any) -> Response:
    whole: dict[str, Any] = {
        "id": "theirs",
        "object": "response",
        "created_at": 1,
        "model": "theirs",
        "output": [],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        **fields,
    }
    return Response.model_validate(whole)


def test_a_response_of_openai_is_the_answer() -> None:
    content = [{"type": "output_text", "text": "Hi", "annotations": list[Any]()}]
    message = {
        "id": "m",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": content,
    }
    (said,) = answered(response(status="completed", output=[message]))
    assert isinstance(said, ReadyMade)
    assert deltas_in(said.data) == [TextDelta("Hi")]


def test_a_response_of_openai_that_failed_is_a_failure() -> None:
    error = {"code": "server_error", "message": "No model."}
    with pytest.raises(WrapperFailed, match="failed in run_chat_completion: No model"):
        answered(response(status="failed", error=error))


@pytest.mark.parametrize(
    ("data", "usage"),
    [
        ({"object": "chat.completion", "usage": {"total_tokens": 3}}, {"total_tokens": 3}),
        ({"object": "chat.completion.chunk"}, None),
        ({"object": "something", "usage": {"total_tokens": 3}}, None),
        ({"object": "response"}, None),
    ],
)
def test_the_usage_that_a_wrapper_says_is_found(data: dict[str, Any], usage: Any) -> None:
    assert usage_in(data) == usage


def test_a_message_of_haystack_is_the_answer_with_its_tool_calls() -> None:
    call = ToolCall("weather", {"city": "Paris"}, id="a")
    assert answered(ChatMessage.from_assistant("Look.", tool_calls=[call])) == [
        TextDelta("Look."),
        ToolCallDelta(0, id="a", name="weather", arguments='{"city": "Paris"}'),
    ]


@pytest.mark.parametrize(
    ("result", "kind"),
    [
        (None, "NoneType"),
        ({"replies": []}, "dict"),
        (["Sunny."], "list"),
        (UNWRITABLE, "ChatMessage"),
    ],
)
def test_anything_else_is_the_wrappers_mistake(result: object, kind: str) -> None:
    with pytest.raises(WrapperFailed) as failed:
        answered(result)
    assert failed.value.message == (
        "'weather' failed in run_chat_completion: it returned "
        f"'{kind}' where a string or a generator is expected."
    )
    assert "streaming_generator" in failed.value.hint


@pytest.mark.parametrize(
    "events", [[StreamOpened(), RunFinished()], [StreamOpened()], [RunCancelled()]]
)
def test_what_is_no_plain_value_stays_as_it_is(events: list[Event]) -> None:
    assert with_answer(events, run=RUN) == events


@pytest.mark.parametrize(
    ("choice", "deltas"),
    [
        (
            {"message": {"content": "Hi"}, "finish_reason": "stop"},
            [TextDelta("Hi"), ModelFinished("stop")],
        ),
        ({"delta": {"content": "Hi"}, "finish_reason": None}, [TextDelta("Hi")]),
        ({"delta": {"reasoning_content": "Hmm"}}, [ReasoningDelta("Hmm")]),
        ({"message": {"content": None, "refusal": "No."}}, [TextDelta("No.")]),
        ({"finish_reason": "something_new"}, []),
        (
            {"delta": {"tool_calls": [{"function": {"arguments": "{"}}, {"index": 7, "id": "b"}]}},
            [ToolCallDelta(0, arguments="{"), ToolCallDelta(7, id="b")],
        ),
    ],
)
def test_an_object_of_openai_says_what_its_first_choice_says(
    choice: dict[str, Any], deltas: list[Delta]
) -> None:
    assert deltas_in({"object": "chat.completion", "choices": [choice]}) == deltas


def test_an_object_without_choices_says_nothing() -> None:
    assert deltas_in({"object": "chat.completion.chunk"}) == []
