from typing import Any

import pytest
from openai.types.chat import ChatCompletion

from hayserve.errors import RunStopped, WrapperFailed
from hayserve.events import (
    BytesDelta,
    Citation,
    Cited,
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
    ToolFinished,
    ToolStarted,
    Usage,
)
from hayserve.protocols.openai_chat.answer import Label
from hayserve.protocols.openai_chat.completion import completion

LABEL = Label("0123", "my-model", created=1_700_000_000)


def completed(*events: Event) -> dict[str, Any]:
    whole = completion(events, LABEL)
    ChatCompletion.model_validate(whole, strict=True)
    return whole


def choice_of(*events: Event) -> dict[str, Any]:
    choices: list[dict[str, Any]] = completed(*events)["choices"]
    assert len(choices) == 1
    return choices[0]


def test_a_completion_is_the_text_that_was_said() -> None:
    usage = Usage(input_tokens=7, output_tokens=5)
    assert completed(TextDelta("Hel"), TextDelta("lo"), RunFinished(usage=usage)) == {
        "id": "chatcmpl-0123",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": "my-model",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hello", "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": 7,
            "completion_tokens": 5,
            "total_tokens": 12,
            "prompt_tokens_details": {"cached_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0},
        },
    }


def test_usage_is_an_object_even_if_nobody_counted() -> None:
    assert completed(RunFinished())["usage"]["total_tokens"] == 0


def test_reasoning_is_kept_beside_the_text() -> None:
    events = [ReasoningDelta("Hm"), ReasoningDelta("m."), TextDelta("Yes"), RunFinished()]
    assert choice_of(*events)["message"] == {
        "role": "assistant",
        "content": "Yes",
        "refusal": None,
        "reasoning_content": "Hmm.",
    }


def test_bytes_are_text() -> None:
    sun = "☀".encode()
    events = [BytesDelta(sun[:1]), BytesDelta(sun[1:]), BytesDelta(b"\xe2"), RunFinished()]
    assert choice_of(*events)["message"]["content"] == "☀\ufffd"


def test_what_the_agent_does_on_the_way_is_left_out() -> None:
    choice = choice_of(
        StreamOpened(),
        ToolStarted("1", "weather", {}),
        ModelFinished("tool_calls"),
        ToolFinished("1", "weather", "sunny"),
        ClientEvent("status", {}),
        TextDelta("Sunny."),
        ModelFinished("length"),
        RunFinished(),
    )
    assert choice["message"] == {"role": "assistant", "content": "Sunny.", "refusal": None}
    assert choice["finish_reason"] == "length"


def test_tool_calls_for_the_client_are_assembled() -> None:
    choice = choice_of(
        ToolCallDelta(0, id="a", name="weather"),
        ToolCallDelta(0, arguments='{"city":'),
        ToolCallDelta(0, arguments='"Paris"}'),
        RunFinished(),
    )
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] is None
    assert choice["message"]["tool_calls"] == [
        {
            "id": "a",
            "type": "function",
            "function": {"name": "weather", "arguments": '{"city":"Paris"}'},
        }
    ]


def test_text_beside_a_tool_call_is_kept() -> None:
    events = [TextDelta("One moment."), ToolCallDelta(0, id="a", name="weather"), RunFinished()]
    assert choice_of(*events)["message"]["content"] == "One moment."


def test_a_completion_that_the_wrapper_built_stays_as_it_is() -> None:
    message = {"role": "assistant", "content": "Hi", "mood": "good"}
    ready = {
        "id": "theirs",
        "object": "chat.completion",
        "created": 1,
        "model": "theirs",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
    }
    whole = completed(ReadyMade(ready), RunFinished())
    assert whole == {**ready, "usage": whole["usage"]}


def test_chunks_that_the_wrapper_built_become_one_message() -> None:
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    kind = {"object": "chat.completion.chunk"}
    whole = completed(
        StreamOpened(),
        ReadyMade({**kind, "choices": [{"delta": {"role": "assistant", "content": "Hel"}}]}),
        ReadyMade({**kind, "choices": [{"delta": {"content": "lo"}, "finish_reason": "length"}]}),
        ReadyMade({**kind, "choices": [], "usage": usage}),
        RunFinished(),
    )
    assert whole["choices"][0]["message"]["content"] == "Hello"
    assert whole["choices"][0]["finish_reason"] == "length"
    assert whole["usage"] == usage


def test_a_failure_is_raised_even_after_some_text() -> None:
    error = WrapperFailed("It broke.")
    with pytest.raises(WrapperFailed) as raised:
        completed(StreamOpened(), TextDelta("Hi"), RunFailed(error))
    assert raised.value is error


def test_a_run_that_was_stopped_has_no_answer() -> None:
    with pytest.raises(RunStopped, match="The run was stopped: cancelled"):
        completed(RunCancelled())


CITED = Cited((Citation("A", url="https://a.org"), Citation("B", file_id="1", filename="b.pdf")))


@pytest.mark.parametrize(
    ("said", "length"),
    [([TextDelta("Hel"), TextDelta("lo")], 5), ([BytesDelta(b"Hi")], 2), ([], 0)],
)
def test_web_pages_are_cited_for_the_whole_text(said: list[Event], length: int) -> None:
    message = choice_of(StreamOpened(), *said, CITED, RunFinished())["message"]
    assert message["annotations"] == [
        {
            "type": "url_citation",
            "url_citation": {
                "start_index": 0,
                "end_index": length,
                "title": "A",
                "url": "https://a.org",
            },
        }
    ]


def test_an_answer_that_is_based_on_files_alone_has_no_annotations() -> None:
    files = Cited((CITED.citations[1],))
    assert "annotations" not in choice_of(TextDelta("Hi"), files, RunFinished())["message"]


def test_an_answer_in_one_piece_is_as_one_in_several() -> None:
    usage = Usage(input_tokens=7, output_tokens=5)
    in_pieces = completed(TextDelta("Hel"), TextDelta("lo"), RunFinished(usage=usage))
    assert completed(TextDelta("Hello"), RunFinished(usage=usage)) == in_pieces
