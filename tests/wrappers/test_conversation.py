"""Which input of a pipeline takes a conversation."""

from typing import Any

import pytest
from haystack.dataclasses import ChatMessage

from hayserve.errors import InvalidRequest
from hayserve.wrappers.conversation import (
    ConversationInput,
    conversation_input,
    last_user_text,
)
from hayserve.wrappers.pipeline_io import InputResolution, Target, input_for


def inputs(**types: tuple[Any, bool]) -> dict[str, InputResolution]:
    return {
        name: input_for([Target("part", name, type_, required)])
        for name, (type_, required) in types.items()
    }


def messages_go_to(name: str) -> ConversationInput:
    return ConversationInput(name, takes_messages=True)


def text_goes_to(name: str) -> ConversationInput:
    return ConversationInput(name, takes_messages=False)


MESSAGES = list[ChatMessage] | str
YES, NO = True, False


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (inputs(talk=(list[ChatMessage], YES)), messages_go_to("talk")),
        (inputs(talk=(MESSAGES, YES)), messages_go_to("talk")),
        (
            inputs(x=(str, YES), messages=(MESSAGES, NO)),
            text_goes_to("x"),
        ),
        (inputs(x=(Any, YES), top_k=(int, NO)), text_goes_to("x")),
        (
            inputs(top_k=(int, NO), query=(str | None, NO), messages=(MESSAGES | None, NO)),
            messages_go_to("messages"),
        ),
        (
            inputs(messages=(int, NO), query=(str, NO)),
            text_goes_to("query"),
        ),
        (inputs(anything=(str, NO)), text_goes_to("anything")),
        (inputs(query=(str, YES), documents=(list[str], YES)), None),
        (inputs(documents=(list[str], YES), query=(str, NO)), None),
        (inputs(options=(dict[str, Any], YES)), None),
        (inputs(a=(str, NO), b=(str, NO)), None),
        ({}, None),
    ],
)
def test_the_input_that_a_conversation_fills(
    given: dict[str, InputResolution], expected: ConversationInput | None
) -> None:
    assert conversation_input(given) == expected


def test_a_text_is_what_the_user_said_last() -> None:
    messages = [
        ChatMessage.from_user("a"),
        ChatMessage.from_user("b"),
        ChatMessage.from_assistant("c"),
    ]
    assert last_user_text(messages) == "b"
    with pytest.raises(InvalidRequest, match="no message of the user"):
        last_user_text([ChatMessage.from_system("s")])
