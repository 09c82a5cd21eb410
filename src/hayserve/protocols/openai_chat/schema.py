"""What clients send to `POST /v1/chat/completions`.

Source: https://platform.openai.com/docs/api-reference/chat/create
"""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class StreamOptions(BaseModel):
    """What a client wants to know beside the answer while it streams."""

    model_config = ConfigDict(extra="allow")

    include_usage: bool | None = None


class ChatRequest(BaseModel):
    """The fields that the server itself reads; all others go to the wrapper as they are."""

    model_config = ConfigDict(extra="allow")

    model: str
    messages: list[dict[str, Any]] = Field(min_length=1)
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: int | None = None

    @property
    def wants_usage(self) -> bool:
        return bool(self.stream_options and self.stream_options.include_usage)

    def body(self) -> dict[str, Any]:
        """Everything that the client sent, and `stream` in any case."""
        return {**self.model_dump(exclude_unset=True), "stream": bool(self.stream)}
