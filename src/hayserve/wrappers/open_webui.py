"""Events that Open WebUI shows.

The kinds and their data are described at https://docs.openwebui.com/features/plugin/events.
"""

import html
import re
from typing import Any

from pydantic import BaseModel

from hayserve.wrappers.client_events import (
    NotificationEventData,
    PipelineEvent,
    StatusEventData,
    create_notification_event,
    create_status_event,
)

__all__ = [
    "MessageEventData",
    "NotificationEventData",
    "OpenWebUIEvent",
    "PipelineEvent",
    "StatusEventData",
    "create_chat_completion_event",
    "create_details_tag",
    "create_message_event",
    "create_notification_event",
    "create_replace_event",
    "create_source_event",
    "create_status_event",
]


class MessageEventData(BaseModel):
    """Text for the answer."""

    content: str


class OpenWebUIEvent(PipelineEvent):
    """An event that only Open WebUI knows."""

    # More kinds of data than the base names; wrappers rely on one being a subclass of the other.
    data: StatusEventData | MessageEventData | NotificationEventData | dict[str, Any]  # type: ignore[assignment]


def create_chat_completion_event(data: dict[str, Any]) -> OpenWebUIEvent:
    """Hand over a chat completion result.

    Args:
        data: The result, in the form that Open WebUI expects.
    """
    return OpenWebUIEvent(type="chat:completion", data=data)


def create_message_event(content: str) -> OpenWebUIEvent:
    """Append text to the answer.

    Args:
        content: The text.
    """
    return OpenWebUIEvent(type="message", data=MessageEventData(content=content))


def create_replace_event(content: str) -> OpenWebUIEvent:
    """Replace the whole answer.

    Args:
        content: The new text.
    """
    return OpenWebUIEvent(type="replace", data=MessageEventData(content=content))


def create_source_event(source_data: dict[str, Any]) -> OpenWebUIEvent:
    """Add a source: a citation, or the result of executed code.

    Args:
        source_data: The source, in the form that Open WebUI expects.
    """
    return OpenWebUIEvent(type="source", data=source_data)


def create_details_tag(tool_name: str, summary: str, content: str) -> str:
    """Return a block that Open WebUI shows folded, such as a tool's result.

    This is no event but text: yield it as a piece of the answer.

    Args:
        tool_name: The value of the tag's `type`; escaped.
        summary: The line that is always visible. HTML in it works.
        content: What unfolds, as markdown. HTML in it works, nested blocks too; only what would
            end this block early, or keep it open, is escaped.
    """
    return (
        f'<details type="{html.escape(tool_name)}" done="true">\n'
        f"<summary>{_balanced(_balanced(summary, 'summary'), 'details')}</summary>\n\n"
        f"{_balanced(content, 'details')}\n"
        "</details>\n\n"
    )


def _balanced(text: str, tag: str) -> str:
    """Escape the opening and closing tags of this name that have no partner in the text."""
    opened: list[int] = []
    lonely: list[int] = []
    for match in re.finditer(rf"<(/?){tag}\b", text, re.IGNORECASE):
        if not match[1]:
            opened.append(match.start())
        elif opened:
            opened.pop()
        else:
            lonely.append(match.start())
    for start in sorted(opened + lonely, reverse=True):
        text = f"{text[:start]}&lt;{text[start + 1 :]}"
    return text
