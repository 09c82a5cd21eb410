from hayserve.events import ToolCallDelta
from hayserve.protocols.openai_chat.tool_calls import ClientCalls


def test_calls_are_numbered_without_gaps_whatever_the_model_counts() -> None:
    calls = ClientCalls("0123")
    assert not calls
    assert calls.add(ToolCallDelta(2, id="a", name="weather", arguments="{"))["index"] == 0
    assert calls.add(ToolCallDelta(3, id="b", name="time"))["index"] == 1
    assert calls.add(ToolCallDelta(2, arguments="}")) == {
        "index": 0,
        "function": {"arguments": "}"},
    }
    # the model's next turn counts from the start again
    assert calls.add(ToolCallDelta(2, id="c", name="weather", arguments="{}"))["index"] == 2
    assert calls
    assert calls.whole() == [
        {"id": "a", "type": "function", "function": {"name": "weather", "arguments": "{}"}},
        {"id": "b", "type": "function", "function": {"name": "time", "arguments": ""}},
        {"id": "c", "type": "function", "function": {"name": "weather", "arguments": "{}"}},
    ]


def test_a_call_that_repeats_its_id_stays_one_call() -> None:
    calls = ClientCalls("0123")
    calls.add(ToolCallDelta(0, id="a", name="weather", arguments="{"))
    calls.add(ToolCallDelta(0, id="a", arguments="}"))
    assert [call["function"]["arguments"] for call in calls.whole()] == ["{}"]


def test_a_call_without_id_or_name_still_has_both() -> None:
    assert ClientCalls("0123").add(ToolCallDelta(0, arguments="{}")) == {
        "index": 0,
        "id": "call_0123_0",
        "type": "function",
        "function": {"name": "", "arguments": "{}"},
    }
