import json
from typing import Any

import pytest

from hayserve.protocols.openai_chat.schema import ChatRequest

USER = {"role": "user", "content": "Hello"}


def request(**fields: Any) -> ChatRequest:
    return ChatRequest.read(json.dumps({"model": "it", "messages": [USER], **fields}).encode())


def test_the_body_is_what_was_sent_and_whether_to_stream() -> None:
    sent: dict[str, Any] = {"model": "it", "messages": [USER], "temperature": 0, "new": [None]}
    assert request(**sent).body() == {**sent, "stream": False}
    assert request(**sent, stream=True).body()["stream"] is True


def test_the_body_is_not_the_messages_that_the_wrapper_may_change() -> None:
    asked = request()
    body = asked.body()
    asked.messages[0].clear()
    asked.messages.clear()
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
    assert request(stream_options=options).wants_usage is wants_usage


@pytest.mark.parametrize(("store", "is_stored"), [(True, True), (False, False), (None, False)])
def test_a_completion_is_kept_only_if_that_is_asked_for(
    store: bool | None, is_stored: bool
) -> None:
    assert request(store=store).is_stored is is_stored
    assert not request().is_stored


def test_a_request_may_be_given_other_messages() -> None:
    asked = request(temperature=0)
    other = {"role": "user", "content": "Bye"}
    given = asked.with_messages([other])
    assert given.body() == {**asked.body(), "messages": [other]}
    assert asked.body()["messages"] == [USER]
