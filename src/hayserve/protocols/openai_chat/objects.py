"""What clients of chat completions get, for `/openapi.json`.

The objects may have more fields than are told of here.
Source: https://platform.openai.com/docs/api-reference/chat/object
"""

from typing import Any, Literal, Required

from typing_extensions import TypedDict

from hayserve.events import FinishReason
from hayserve.protocols.pages import PageEnds, PageQuery


class AssistantMessage(TypedDict, total=False):
    """What the model answers."""

    role: Required[Literal["assistant"]]
    content: Required[str | None]
    refusal: str | None
    reasoning_content: str
    tool_calls: list[dict[str, Any]]
    annotations: list[dict[str, Any]]


class Choice(TypedDict):
    """One answer: there is no other."""

    index: int
    message: AssistantMessage
    logprobs: dict[str, Any] | None
    finish_reason: FinishReason


class ChatUsage(TypedDict):
    """How many tokens were used."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class ChatCompletion(TypedDict):
    """An answer that was not streamed."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[Choice]
    usage: ChatUsage


class ChatCompletionPage(PageEnds):
    """One page of the completions that are kept."""

    data: list[ChatCompletion]


class CompletionQuery(PageQuery, total=False):
    """Which completions are listed; `metadata[name]=note` for those with that note, too."""

    model: str


class Model(TypedDict):
    """A model: one of the names of a deployment."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class ModelList(TypedDict):
    """All models."""

    object: Literal["list"]
    data: list[Model]
