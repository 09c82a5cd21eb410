"""What a wrapper can show in the user interface beside its answer.

An event may be yielded between the pieces of an answer. Chat clients that know such events show
them; the others ignore them. Anything with a method `to_event_dict()` counts as one.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Literal

from pydantic import BaseModel

NotificationType = Literal["info", "success", "warning", "error"]


class StatusEventData(BaseModel):
    """How far the work is: a line of text, whether it is done, and whether it is hidden."""

    description: str
    done: bool = False
    hidden: bool = False


class NotificationEventData(BaseModel):
    """A short message that pops up."""

    type: NotificationType = "info"
    content: str


class PipelineEvent(BaseModel):
    """An event for the user interface.

    Args:
        type: The kind of event, such as "status"; the client decides which kinds it knows.
        data: What belongs to it.

    Example:
        ```python
        from hayserve.wrappers.client_events import PipelineEvent

        event = PipelineEvent(type="progress", data={"percent": 40})
        print(event.to_event_dict())
        #> {'type': 'progress', 'data': {'percent': 40}}
        ```
    """

    type: str
    data: StatusEventData | NotificationEventData | dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Return the event as plain data."""
        return self.model_dump()

    def to_event_dict(self) -> dict[str, Any]:
        """Return the event as it goes to the client."""
        return self.model_dump()


# A callback returns what it wants to put into the stream, before the chunk that it was called for.
ToolCallbackReturn = PipelineEvent | str | None | list[PipelineEvent | str]

# (tool's name, arguments, id of the call)
OnToolCallStart = (
    Callable[[str, dict[str, Any], str | None], ToolCallbackReturn | Awaitable[ToolCallbackReturn]]
    | None
)
# (tool's name, arguments, result, whether it failed)
OnToolCallEnd = (
    Callable[[str, dict[str, Any], str, bool], ToolCallbackReturn | Awaitable[ToolCallbackReturn]]
    | None
)
# (piece of the reasoning, what the model's provider sent with it)
OnReasoning = (
    Callable[[str, dict[str, Any] | None], ToolCallbackReturn | Awaitable[ToolCallbackReturn]]
    | None
)
# (result of the run); the text ends the answer
OnPipelineEnd = Callable[[Any], str | Awaitable[str | None] | None] | None


def create_status_event(
    description: str,
    done: bool = False,  # noqa: FBT001, FBT002  wrappers pass it by position
    hidden: bool = False,  # noqa: FBT001, FBT002  wrappers pass it by position
) -> PipelineEvent:
    """Say how far the work is.

    Args:
        description: The line that is shown.
        done: Whether the work that it describes is finished, so that nothing spins any more.
        hidden: Whether the line disappears.
    """
    data = StatusEventData(description=description, done=done, hidden=hidden)
    return PipelineEvent(type="status", data=data)


def create_notification_event(
    content: str, notification_type: NotificationType = "info"
) -> PipelineEvent:
    """Let a short message pop up.

    Args:
        content: The message.
        notification_type: "info", "success", "warning" or "error".
    """
    data = NotificationEventData(type=notification_type, content=content)
    return PipelineEvent(type="notification", data=data)
