"""Finds the input of a pipeline that takes a conversation, and fits the conversation to it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import UnionType
from typing import Any, Union, get_args, get_origin

from haystack.dataclasses import ChatMessage, ChatRole

from hayserve.errors import InvalidRequest
from hayserve.wrappers.pipeline_io import InputResolution

# Inputs that hold what the user says although they could be left out, the likeliest first.
_NAMES = (
    "messages",
    "question",
    "query",
    "prompt",
    "text",
    "message",
    "input",
    "user_input",
    "user_message",
)


@dataclass(frozen=True, slots=True)
class ConversationInput:
    """The input called `name`: it takes all messages, or else the text of the user's last one."""

    name: str
    takes_messages: bool

    def value_for(self, messages: Sequence[ChatMessage]) -> Any:
        return list(messages) if self.takes_messages else last_user_text(messages)


def conversation_input(inputs: Mapping[str, InputResolution]) -> ConversationInput | None:
    """The input that a conversation fills; None if there is none, or if others are required too.

    An only required input is the one. If none is required it is one that is called like what
    people say, or the only one there is.
    """
    required = [name for name, resolution in inputs.items() if resolution.required]
    if len(required) > 1:
        return None
    candidates = required or [name for name in _NAMES if name in inputs]
    if not candidates and len(inputs) == 1:
        candidates = list(inputs)
    for name in candidates:
        type_ = inputs[name].type
        if takes_messages(type_):
            return ConversationInput(name, takes_messages=True)
        if type_ is Any or str in _members(type_):
            return ConversationInput(name, takes_messages=False)
    return None


def takes_messages(annotation: Any) -> bool:
    """Whether a list of `ChatMessage`s is among the values of this type."""
    return any(
        get_origin(member) in {list, Sequence} and get_args(member) == (ChatMessage,)
        for member in _members(annotation)
    )


def last_user_text(messages: Sequence[ChatMessage]) -> str:
    """The text of the user's last message.

    Raises:
        InvalidRequest: The user said nothing.
    """
    for message in reversed(messages):
        if message.is_from(ChatRole.USER):
            return "\n".join(message.texts)
    raise InvalidRequest(
        "The conversation has no message of the user.",
        hint='Send at least one message with the role "user".',
        param="messages",
    )


def _members(annotation: Any) -> tuple[Any, ...]:
    """The members of a union; of any other type, the type."""
    if get_origin(annotation) in {Union, UnionType}:
        return get_args(annotation)
    return (annotation,)
