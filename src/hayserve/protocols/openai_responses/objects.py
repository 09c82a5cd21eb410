"""What clients of the Responses API send and get beside the request itself, for `/openapi.json`.

The objects may have more fields than are told of here.
Source: https://platform.openai.com/docs/api-reference/responses/object
"""

from typing import Annotated, Any, Literal, Required

from pydantic import Field, WithJsonSchema
from typing_extensions import TypedDict

from hayserve.protocols.notes import Notes
from hayserve.protocols.pages import PageEnds

MOST_NEW_ITEMS, MOST_FILES = 20, 10_000

Status = Literal["queued", "in_progress", "completed", "incomplete", "failed", "cancelled"]


class ItemObject(TypedDict, total=False):
    """Something that was said or done."""

    id: Required[str]
    type: Required[str]
    status: str


class ResponseError(TypedDict):
    """Why there is no answer, or not all of it."""

    code: str
    message: str


class Incomplete(TypedDict):
    """Why an answer was cut off."""

    reason: str


class ConversationId(TypedDict):
    """The conversation that a response belongs to."""

    id: str


class InputTokens(TypedDict):
    """What is known of the tokens that were read."""

    cached_tokens: int


class OutputTokens(TypedDict):
    """What is known of the tokens that were written."""

    reasoning_tokens: int


class ResponseUsage(TypedDict):
    """How many tokens were used."""

    input_tokens: int
    input_tokens_details: InputTokens
    output_tokens: int
    output_tokens_details: OutputTokens
    total_tokens: int


class ResponseObject(TypedDict):
    """A response; what was asked for is repeated in it."""

    id: str
    object: Literal["response"]
    created_at: int
    completed_at: int | None
    status: Status
    model: str
    output: list[ItemObject]
    usage: ResponseUsage | None
    error: ResponseError | None
    incomplete_details: Incomplete | None
    background: bool
    conversation: ConversationId | None
    previous_response_id: str | None
    store: bool
    instructions: str | None
    max_output_tokens: int | None
    metadata: dict[str, Any]
    parallel_tool_calls: bool
    reasoning: dict[str, Any]
    service_tier: str
    temperature: float
    text: dict[str, Any]
    tool_choice: str | dict[str, Any]
    tools: list[dict[str, Any]]
    top_p: float
    truncation: Literal["disabled"]


class ResponseQuery(TypedDict, total=False):
    """How a response is given."""

    stream: bool
    starting_after: Annotated[int, Field(ge=0)]


class CompactionObject(TypedDict):
    """What a conversation became."""

    id: str
    object: Literal["response.compaction"]
    created_at: int
    output: list[dict[str, Any]]
    usage: ResponseUsage


class NewConversation(Notes, total=False):
    """A conversation that is to be begun."""

    items: Annotated[list[dict[str, Any]], Field(max_length=MOST_NEW_ITEMS)] | None


class NewItems(TypedDict, total=False):
    """What is to be added to a conversation."""

    items: Annotated[list[dict[str, Any]], Field(max_length=MOST_NEW_ITEMS)] | None


class ConversationObject(TypedDict):
    """A conversation, without its items."""

    id: str
    object: Literal["conversation"]
    created_at: int
    metadata: dict[str, str]


class FileObject(TypedDict, total=False):
    """What is known of a file."""

    id: Required[str]
    object: Required[Literal["file"]]
    bytes: Required[int]
    created_at: Required[int]
    expires_at: int
    filename: Required[str | None]
    purpose: Required[str]
    status: Required[str]


class FilePage(PageEnds):
    """One page of the files."""

    data: list[FileObject]


class FileQuery(TypedDict, total=False):
    """Which files are listed; there may be more on a page than of other things."""

    limit: Annotated[int, Field(ge=1, le=MOST_FILES)]
    order: Literal["asc", "desc"]
    after: str
    purpose: str


UploadForm = TypedDict(
    "UploadForm",
    {
        "file": Required[Annotated[str, WithJsonSchema({"type": "string", "format": "binary"})]],
        "purpose": Required[Annotated[str, Field(min_length=1)]],
        "model": str,
        "expires_after[anchor]": Literal["created_at"],
        "expires_after[seconds]": Annotated[int, Field(ge=1, le=30 * 24 * 3600)],
    },
    total=False,
)


class UploadQuery(TypedDict, total=False):
    model: str
