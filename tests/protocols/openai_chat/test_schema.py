from typing import Any

import pytest

from hayserve.protocols.openai_chat.schema import ChatRequest

USER = {"role": "user", "content": "Hello"}


def test_the_body_is_what_was_sent_and_whether_to_stream() -> None:
    sent: dict[str, Any] = {"model": "it", "messages": [USER], "temperature": 0, "new": [None]}
    assert ChatRequest.model_validate(sent).body() == {**sent, "stream": False}
    assert ChatRequest.model_validate({**sent, "stream": True}).body()["stream"] is True


def test_the_body_is_not_the_messages_that_the_wrapper_may_change() -> None:
    request = ChatRequest.model_validate({"model": "it", "messages": [USER]})
    body = request.body()
    request.messages.clear()
    assert body["messages"] == [USER]


@pytest.mark.parametrize(
    ("options", "wants_usage"),
    [
        (None, False),
        ({}, False),
        ({"include_usage": False}, False),
        ({"include_usage": True, "include_obfuscation": False}, True),
    ],
)
def test_usage_is_wanted_only_if_it_was_asked_for(
    options: dict[str, Any] | None, wants_usage: bool
) -> None:
    request = ChatRequest(model="it", messages=[USER], stream_options=options)  # pyright: ignore[reportArgumentType] - as it is sent
    assert request.wants_usage is wants_usage
