from hayserve.events import Citation, Usage
from hayserve.protocols.openai_chat.answer import annotations_of, finish_reason, usage_of


def test_a_client_is_told_to_call_tools_only_if_it_was_given_calls() -> None:
    assert finish_reason("stop", has_client_calls=True) == "tool_calls"
    assert finish_reason("tool_calls", has_client_calls=False) == "stop"
    assert finish_reason(None, has_client_calls=False) == "stop"


def test_what_was_counted_goes_before_what_the_wrapper_says() -> None:
    theirs = {"total_tokens": 3}
    assert usage_of(Usage(input_tokens=1), ready_made=theirs)["total_tokens"] == 1
    assert usage_of(None, ready_made=theirs) == theirs
    assert usage_of(None, ready_made=None)["total_tokens"] == 0


def test_a_chat_cites_web_pages_each_once_for_the_whole_answer() -> None:
    page = Citation("A", url="https://a.org")
    file = Citation("B", file_id="1", filename="b.pdf")
    assert annotations_of([page, file, page], length=5) == [
        {
            "type": "url_citation",
            "url_citation": {
                "start_index": 0,
                "end_index": 5,
                "title": "A",
                "url": "https://a.org",
            },
        }
    ]
