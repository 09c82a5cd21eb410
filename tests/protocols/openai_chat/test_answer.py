from hayserve.events import Usage
from hayserve.protocols.openai_chat.answer import finish_reason, usage_of


def test_a_client_is_told_to_call_tools_only_if_it_was_given_calls() -> None:
    assert finish_reason("stop", has_client_calls=True) == "tool_calls"
    assert finish_reason("tool_calls", has_client_calls=False) == "stop"
    assert finish_reason(None, has_client_calls=False) == "stop"


def test_what_was_counted_goes_before_what_the_wrapper_says() -> None:
    theirs = {"total_tokens": 3}
    assert usage_of(Usage(input_tokens=1), ready_made=theirs)["total_tokens"] == 1
    assert usage_of(None, ready_made=theirs) == theirs
    assert usage_of(None, ready_made=None)["total_tokens"] == 0
