"""The bodies of the Responses API and of the Files API, as clients and wrappers write them.

Source: https://platform.openai.com/docs/api-reference/responses
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

# Each of them is looked at several times, so that millions of small ones would take their time.
MOST_ITEMS, MOST_TOOLS = 10_000, 1000


def _no_for_null(value: object) -> object:
    return False if value is None else value


class ConversationParam(BaseModel):
    """The conversation that a request belongs to."""

    id: str


class ResponseRequest(BaseModel):
    """The body of `POST /v1/responses`; the wrapper gets its other fields too."""

    model_config = ConfigDict(extra="allow")

    model: str
    input: str | Annotated[list[dict[str, Any]], Field(max_length=MOST_ITEMS)] | None = None
    instructions: str | None = None
    stream: Annotated[bool, BeforeValidator(_no_for_null)] = False
    tools: Annotated[list[dict[str, Any]], Field(max_length=MOST_TOOLS)] | None = None
    tool_choice: str | dict[str, Any] | None = None
    top_p: float | None = None
    top_logprobs: int | None = None
    temperature: float | None = None
    max_output_tokens: int | None = None
    previous_response_id: str | None = None
    conversation: str | ConversationParam | None = None
    background: bool | None = None
    parallel_tool_calls: bool | None = None
    stream_options: dict[str, Any] | None = None
    text: dict[str, Any] | None = None
    reasoning: dict[str, Any] | None = None
    store: bool | None = None
    service_tier: str | None = None
    metadata: dict[str, Any] | None = None

    @property
    def conversation_id(self) -> str | None:
        named = self.conversation
        return named.id if isinstance(named, ConversationParam) else named

    @property
    def is_kept(self) -> bool:
        """Whether it can be asked for again, as is said of it where nothing else is asked."""
        return self.store is not False

    @property
    def goes_on(self) -> bool:
        """Whether the response is made to its end, whether or not its client reads it."""
        return bool(self.background or self.store)


class StoredFile(BaseModel):
    """OpenAI's file object, as a wrapper's `run_file_upload` describes what it stored."""

    model_config = ConfigDict(extra="allow")

    id: str
    object: Literal["file"] = "file"
    bytes: int
    created_at: int
    filename: str | None = None
    purpose: str
    status: str = "processed"
