"""What can happen during a run: the words that wrappers produce and protocols translate.

The union is closed. A translator ends its `match` with `assert_never`, so that the type checker
finds every translator when a case is added. A run is any number of events and then exactly one
closing event: `RunFinished`, `RunFailed` or `RunCancelled`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from hayserve.errors import HayserveError

# Why a run is cancelled when the server stops.
STOPPING = "the server is stopping"

FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]


@dataclass(frozen=True, slots=True)
class StreamOpened:
    """The wrapper answers with a stream: what follows is its items.

    `sse` says that the wrapper asked for server-sent events where the protocol leaves a choice.
    """

    sse: bool = False


@dataclass(frozen=True, slots=True)
class TextDelta:
    """A piece of the answer's text."""

    text: str


@dataclass(frozen=True, slots=True)
class BytesDelta:
    """A piece of an answer that is not text."""

    data: bytes


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    """A piece of the model's reasoning."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolStarted:
    """The agent begins to execute one of its own tools; the arguments are complete."""

    id: str
    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ToolFinished:
    """One of the agent's own tools returned `result`, or failed with it."""

    id: str
    name: str
    result: str
    failed: bool = False


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """A piece of a tool call that the client, not the agent, is asked to execute.

    The first piece of a call carries its `id` and `name`; `arguments` are pieces of a JSON text.
    """

    index: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""


@dataclass(frozen=True, slots=True)
class ModelFinished:
    """A call of the model ended for this reason; the last one of a run is the run's reason."""

    reason: FinishReason


@dataclass(frozen=True, slots=True)
class ClientEvent:
    """Something for the user interface beside the answer: a status, a notification, a source."""

    type: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ReadyMade:
    """An object that the wrapper built in the protocol's own form, passed on as it is."""

    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Citation:
    """A document that an answer is based on: a web page if it has a `url`, else a file.

    Args:
        title: What it is called.
        url: Where it is on the web.
        file_id: The document's id, if it is a file.
        filename: The name of the file, without folders.
    """

    title: str
    url: str | None = None
    file_id: str = ""
    filename: str = ""


@dataclass(frozen=True, slots=True)
class Cited:
    """The whole answer is based on these documents."""

    citations: tuple[Citation, ...]


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens that a run's model calls used, all calls added up."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        return self.input_tokens + self.output_tokens

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cached_tokens=self.cached_tokens + other.cached_tokens,
            reasoning_tokens=self.reasoning_tokens + other.reasoning_tokens,
        )


@dataclass(frozen=True, slots=True)
class RunFinished:
    """The run ended well. `result` is what the wrapper returned; None after a stream."""

    result: Any = None
    usage: Usage | None = None


@dataclass(frozen=True, slots=True)
class RunFailed:
    """The run ended with an error."""

    error: HayserveError


@dataclass(frozen=True, slots=True)
class RunCancelled:
    """The run was stopped before it ended by itself."""

    reason: str = field(default="cancelled")


Delta = (
    TextDelta
    | BytesDelta
    | ReasoningDelta
    | ToolStarted
    | ToolFinished
    | ToolCallDelta
    | ModelFinished
    | ClientEvent
    | ReadyMade
    | Cited
)
Closing = RunFinished | RunFailed | RunCancelled
Event = StreamOpened | Delta | Closing
