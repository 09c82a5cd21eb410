"""What clients send to `POST /v1/chat/completions`.

Source: https://platform.openai.com/docs/api-reference/chat/create
"""

from typing import Annotated, Any, Required, Self

from pydantic import ConfigDict, Field, TypeAdapter, WithJsonSchema
from typing_extensions import TypedDict

# Each of them is looked at several times, so that millions of small ones would take their time.
MOST_MESSAGES = 10_000
_MESSAGE = {
    "type": "object",
    "properties": {
        "role": {"enum": ["developer", "system", "user", "assistant", "tool", "function"]},
        "content": {
            "anyOf": [
                {"type": "string"},
                {"type": "array", "items": {"type": "object"}},
                {"type": "null"},
            ]
        },
    },
    "required": ["role"],
}
Message = Annotated[dict[str, Any], WithJsonSchema(_MESSAGE)]


class StreamOptions(TypedDict, total=False):
    """What a client wants to know beside the answer while it streams."""

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]

    include_usage: bool | None


class Fields(TypedDict, total=False):
    """A request for a chat completion; its other fields go to the wrapper as they are."""

    # A dictionary and no model: it is checked as strictly, and is what wrappers are given.

    __pydantic_config__ = ConfigDict(extra="allow", title="ChatRequest")  # type: ignore[misc]

    model: Required[str]
    messages: Required[Annotated[list[Message], Field(min_length=1, max_length=MOST_MESSAGES)]]
    stream: bool | None
    stream_options: StreamOptions | None
    n: int | None
    logprobs: bool | None
    top_logprobs: int | None
    store: bool | None


# The validator itself: what is around it takes a third of the time.
_FIELDS = TypeAdapter(Fields).validator


class ChatRequest:
    """A request as it was sent.

    Args:
        fields: What was sent.
    """

    __slots__ = ("fields", "messages", "model", "n", "stream")

    def __init__(self, fields: Fields) -> None:
        self.fields = fields
        self.model = fields["model"]
        self.messages = fields["messages"]
        self.stream = bool(fields.get("stream"))
        self.n = fields.get("n")

    @classmethod
    def read(cls, data: bytes) -> Self:
        """Read the body of a request.

        Raises:
            ValidationError: It is no JSON object, or a field is wrong.
        """
        return cls(_FIELDS.validate_json(data))

    @property
    def wants_usage(self) -> bool:
        options = self.fields.get("stream_options")
        return bool(options and options.get("include_usage"))

    @property
    def is_stored(self) -> bool:
        """Whether the completion can be asked for again."""
        return bool(self.fields.get("store"))

    def with_messages(self, messages: list[dict[str, Any]]) -> Self:
        """The same request with other messages."""
        return type(self)({**self.fields, "messages": messages})

    def body(self) -> dict[str, Any]:
        """Everything that the client sent, and `stream` in any case; its messages are copies."""
        messages = [message.copy() for message in self.messages]
        return {**self.fields, "messages": messages, "stream": self.stream}
