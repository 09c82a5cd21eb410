from typing import Any

import orjson
import pytest

from hayserve.errors import WrapperFailed
from hayserve.events import (
    BytesDelta,
    Citation,
    Cited,
    ClientEvent,
    Event,
    FinishReason,
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
from hayserve.protocols.openai_chat.encode import ChunkEncoder
from protocols.openai_chat.served import chunks_in, frames_in, said_in

LABEL = Label("0123", 'my/model "x"', created=1_700_000_000)


def encoded(*events: Event, include_usage: bool = False) -> bytes:
    encoder = ChunkEncoder(LABEL, include_usage=include_usage)
    return b"".join(encoder.encode(event) for event in events)


def test_a_stream_is_a_role_then_text_then_one_finish_reason_then_done() -> None:
    opened, first, second, finished = frames_in(
        encoded(StreamOpened(), TextDelta("Hel"), TextDelta("lo"), RunFinished())
    )
    assert opened == {
        "id": "chatcmpl-0123",
        "object": "chat.completion.chunk",
        "created": 1_700_000_000,
        "model": 'my/model "x"',
        "choices": [
            {"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}
        ],
    }
    assert first["choices"] == [{"index": 0, "delta": {"content": "Hel"}, "finish_reason": None}]
    assert second["choices"] == [{"index": 0, "delta": {"content": "lo"}, "finish_reason": None}]
    assert finished["choices"] == [{"index": 0, "delta": {}, "finish_reason": "stop"}]


def test_an_empty_answer_is_still_a_whole_stream() -> None:
    chunks = chunks_in(encoded(TextDelta(""), RunFinished()))
    assert [chunk.choices[0].delta.role for chunk in chunks] == ["assistant", None]
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_text_of_any_kind_arrives_as_it_was() -> None:
    text = 'a "quoted" \\ line\nand 🌤 \u2028 \x00'
    assert said_in(chunks_in(encoded(TextDelta(text), RunFinished()))) == text


def test_half_of_a_surrogate_pair_is_passed_on() -> None:
    frame = encoded(TextDelta("\ud83d")).split(b"\n\n")[1]
    assert b'{"content":"\\ud83d"}' in frame


def test_bytes_are_text_even_if_a_character_is_cut_in_two() -> None:
    sun = "☀".encode()
    events = [BytesDelta(b"a " + sun[:1]), BytesDelta(sun[1:]), RunFinished()]
    assert said_in(chunks_in(encoded(*events))) == "a ☀"


def test_bytes_that_end_in_the_middle_of_a_character_end_with_its_replacement() -> None:
    assert said_in(chunks_in(encoded(BytesDelta(b"a\xe2"), RunFinished()))) == "a\ufffd"


def test_reasoning_has_a_field_of_its_own() -> None:
    chunks = chunks_in(encoded(ReasoningDelta("Hmm."), TextDelta("Yes"), RunFinished()))
    assert [chunk.choices[0].delta.to_dict() for chunk in chunks] == [
        {"role": "assistant", "content": ""},
        {"reasoning_content": "Hmm."},
        {"content": "Yes"},
        {},
    ]


def test_tools_that_the_agent_executes_itself_never_appear() -> None:
    chunks = chunks_in(
        encoded(
            StreamOpened(),
            ToolStarted("1", "weather", {"city": "Paris"}),
            ModelFinished("tool_calls"),
            ToolFinished("1", "weather", "sunny"),
            TextDelta("It is sunny."),
            ModelFinished("stop"),
            RunFinished(),
        )
    )
    assert [chunk.choices[0].delta.tool_calls for chunk in chunks] == [None] * 3
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None, None, "stop"]


def test_a_tool_call_for_the_client_is_streamed_and_is_why_the_answer_ends() -> None:
    chunks = chunks_in(
        encoded(
            ToolCallDelta(0, id="call_a", name="weather"),
            ToolCallDelta(0, arguments='{"city":'),
            ToolCallDelta(0, arguments='"Paris"}'),
            RunFinished(),
        )
    )
    assert [chunk.choices[0].delta.to_dict().get("tool_calls") for chunk in chunks] == [
        None,
        [
            {
                "index": 0,
                "id": "call_a",
                "type": "function",
                "function": {"name": "weather", "arguments": ""},
            }
        ],
        [{"index": 0, "function": {"arguments": '{"city":'}}],
        [{"index": 0, "function": {"arguments": '"Paris"}'}}],
        None,
    ]
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


@pytest.mark.parametrize(
    ("reasons", "finish"),
    [
        (["tool_calls", "stop"], "stop"),
        (["stop", "length"], "length"),
        (["content_filter"], "content_filter"),
        (["tool_calls"], "stop"),
        ([], "stop"),
    ],
)
def test_the_answer_ends_for_the_reason_of_the_last_model_call(
    reasons: list[FinishReason], finish: str
) -> None:
    chunks = chunks_in(encoded(*map(ModelFinished, reasons), RunFinished()))
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None, finish]


def test_an_answer_that_was_cut_off_says_so_even_after_a_tool_call() -> None:
    events = [ToolCallDelta(0, id="1", name="weather"), ModelFinished("length"), RunFinished()]
    assert chunks_in(encoded(*events))[-1].choices[0].finish_reason == "length"


def test_the_usage_comes_last_and_only_if_it_was_asked_for() -> None:
    usage = Usage(input_tokens=7, output_tokens=5, cached_tokens=2, reasoning_tokens=1)
    events = [TextDelta("Hi"), RunFinished(usage=usage)]
    assert "usage" not in encoded(*events).decode()
    *before, last = frames_in(encoded(*events, include_usage=True))
    assert [frame["usage"] for frame in before] == [None, None, None]
    assert last["choices"] == []
    assert last["usage"] == {
        "prompt_tokens": 7,
        "completion_tokens": 5,
        "total_tokens": 12,
        "prompt_tokens_details": {"cached_tokens": 2},
        "completion_tokens_details": {"reasoning_tokens": 1},
    }
    chunks_in(encoded(*events, include_usage=True))


def test_usage_that_nobody_counted_is_zero() -> None:
    usage = chunks_in(encoded(RunFinished(), include_usage=True))[-1].usage
    assert usage is not None
    assert usage.total_tokens == 0


def test_a_failure_in_the_middle_is_a_frame_with_the_error() -> None:
    _, text, failed = frames_in(
        encoded(StreamOpened(), TextDelta("Hi"), RunFailed(WrapperFailed("It broke.")))
    )
    assert text["choices"][0]["delta"] == {"content": "Hi"}
    assert failed == {
        "error": {
            "message": "It broke.",
            "type": "server_error",
            "param": None,
            "code": "wrapper_failed",
            "run_id": "0123",
        }
    }


def test_a_run_that_was_stopped_ends_with_an_error() -> None:
    (failed,) = frames_in(encoded(RunCancelled("the server stops")))
    assert failed["error"]["message"] == (
        "The run was stopped: the server stops. Send the request again if that was not intended."
    )


def test_an_event_for_the_user_interface_rides_on_a_chunk_that_says_nothing() -> None:
    frames = frames_in(encoded(ClientEvent("status", {"done": False}), RunFinished()))
    assert frames[1]["event"] == {"type": "status", "data": {"done": False}}
    assert frames[1]["choices"] == [{"index": 0, "delta": {}, "finish_reason": None}]
    assert [list(frame) for frame in frames if frame is not frames[1]] == [
        ["id", "object", "created", "model", "choices"]
    ] * 2
    assert len(chunks_in(encoded(ClientEvent("a", {1: {1, 2}}), RunFinished()))) == 3  # pyright: ignore[reportArgumentType] - users may pass anything


def test_a_ready_made_chunk_is_passed_on_without_a_second_role_or_finish_reason() -> None:
    ready = {
        "id": "theirs",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "theirs",
        "choices": [
            {
                "index": 0,
                "delta": {"role": "assistant", "content": "Hi", "mood": "good"},
                "finish_reason": "length",
            }
        ],
        "system_fingerprint": "fp",
    }
    chunks = chunks_in(encoded(ReadyMade(ready), RunFinished()))
    assert [chunk.choices[0].delta.role for chunk in chunks] == ["assistant", None, None]
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None, None, "length"]
    assert [chunk.id for chunk in chunks] == ["chatcmpl-0123"] * 3
    passed_on = chunks[1]
    assert (passed_on.model, passed_on.system_fingerprint) == ("theirs", "fp")
    assert passed_on.choices[0].delta.to_dict() == {"content": "Hi", "mood": "good"}


def test_the_usage_in_a_ready_made_chunk_is_said_where_usage_belongs() -> None:
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    ready: dict[str, Any] = {"object": "chat.completion.chunk", "choices": [], "usage": usage}
    frames = frames_in(encoded(ReadyMade(ready), RunFinished(), include_usage=True))
    assert [frame["usage"] for frame in frames] == [None, None, usage]
    assert "usage" not in encoded(ReadyMade(ready), RunFinished()).decode()


def test_tool_calls_in_a_ready_made_chunk_are_the_client_s() -> None:
    call = {"index": 0, "id": "call_a", "function": {"name": "weather", "arguments": "{}"}}
    ready = {"object": "chat.completion.chunk", "choices": [{"delta": {"tool_calls": [call]}}]}
    _, called, finished = chunks_in(encoded(ReadyMade(ready), RunFinished()))
    assert called.choices[0].delta.tool_calls is not None
    assert called.choices[0].delta.tool_calls[0].id == "call_a"
    assert finished.choices[0].finish_reason == "tool_calls"


def test_a_ready_made_completion_becomes_chunks() -> None:
    message = {"role": "assistant", "content": "Hi", "reasoning_content": "Hmm."}
    ready = {
        "object": "chat.completion",
        "choices": [{"index": 0, "message": message, "finish_reason": "length"}],
    }
    chunks = chunks_in(encoded(ReadyMade(ready), RunFinished()))
    assert [chunk.choices[0].delta.to_dict() for chunk in chunks] == [
        {"role": "assistant", "content": ""},
        {"reasoning_content": "Hmm."},
        {"content": "Hi"},
        {},
    ]
    assert chunks[-1].choices[0].finish_reason == "length"


def test_another_ready_made_object_is_said_as_json() -> None:
    ready = {"object": "thing", "usage": {"input_tokens": 1}}
    said = said_in(chunks_in(encoded(ReadyMade(ready), RunFinished(), include_usage=True)))
    assert orjson.loads(said) == ready


CITED = Cited((Citation("A", url="https://a.org"), Citation("B", file_id="1", filename="b.pdf")))
ANNOTATION = {
    "type": "url_citation",
    "url_citation": {"start_index": 0, "end_index": 5, "title": "A", "url": "https://a.org"},
}


@pytest.mark.parametrize(
    "said",
    [
        [TextDelta("Hel"), CITED, TextDelta("lo")],
        [BytesDelta(b"Hell"), BytesDelta(b"\xe2"), CITED],
        [
            ReadyMade(
                {"object": "chat.completion.chunk", "choices": [{"delta": {"content": "Hello"}}]}
            ),
            CITED,
        ],
    ],
)
def test_web_pages_are_cited_for_the_whole_text_before_the_answer_ends(said: list[Event]) -> None:
    chunks = chunks_in(encoded(*said, RunFinished()))
    *_, cited, finished = chunks
    assert len(said_in(chunks)) == 5
    assert cited.choices[0].delta.to_dict() == {"annotations": [ANNOTATION]}
    assert cited.choices[0].finish_reason is None
    assert finished.choices[0].finish_reason == "stop"


def test_pages_are_cited_even_if_nothing_was_said() -> None:
    role, cited, _ = chunks_in(encoded(CITED, RunFinished()))
    assert role.choices[0].delta.role == "assistant"
    [annotation] = cited.choices[0].delta.to_dict()["annotations"]  # type: ignore[misc]
    assert annotation["url_citation"]["end_index"] == 0


def test_an_answer_that_is_based_on_files_alone_has_no_annotations() -> None:
    assert b"annotations" not in encoded(
        TextDelta("Hi"), Cited((CITED.citations[1],)), RunFinished()
    )
