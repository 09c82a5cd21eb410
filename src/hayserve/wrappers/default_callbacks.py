"""Ready-made callbacks that show a run's tool calls and result in the chat."""

import re
from typing import Any

from haystack.tracing.utils import coerce_tag_value

from hayserve.wrappers.client_events import (
    PipelineEvent,
    create_notification_event,
    create_status_event,
)
from hayserve.wrappers.open_webui import create_details_tag


def default_on_tool_call_start(
    tool_name: str,
    arguments: dict[str, Any] | str | None,  # noqa: ARG001  callbacks receive it
    tool_call_id: str | None,  # noqa: ARG001  callbacks receive it
) -> PipelineEvent | None:
    """Say that a tool is being called.

    Args:
        tool_name: The tool's name.
        arguments: The arguments of the call; not shown.
        tool_call_id: The id of the call; not shown.

    Returns:
        A status event; None if the tool has no name.
    """
    if not tool_name:
        return None
    return create_status_event(f"Calling '{tool_name}' tool...")


def default_on_tool_call_end(  # noqa: PLR0917  callbacks are called by position
    tool_name: str,
    arguments: dict[str, Any],
    result: str,
    error: bool,  # noqa: FBT001  callbacks are called by position
) -> list[PipelineEvent | str]:
    """Say how a tool call went.

    Args:
        tool_name: The tool's name.
        arguments: The arguments of the call.
        result: What the tool returned.
        error: Whether the call failed.

    Returns:
        A status event and a folded block with arguments and result; after a failure a hidden
        status event and a notification.
    """
    called = f"Called '{tool_name}' tool"
    if error:
        return [
            create_status_event(called, done=True, hidden=True),
            create_notification_event(f"Error calling '{tool_name}' tool", "error"),
        ]
    shown = f"Arguments:\n{arguments}\n\nResponse:\n{result}"
    return [
        create_status_event(called, done=True),
        create_details_tag(
            tool_name=tool_name,
            summary=f"Tool call result for '{tool_name}'",
            content=_fenced(shown),
        ),
    ]


def default_on_pipeline_end(result: Any) -> str:
    """Return the whole result of the run as text, to end the answer with.

    With an agent that is the whole conversation: look into the result yourself if the last
    answer is what you want to show.

    Args:
        result: What the pipeline or the agent returned.

    Returns:
        A string as it is, another simple value written out, anything else as JSON; images and
        files are replaced by a placeholder.
    """
    return str(coerce_tag_value(result))


def _fenced(text: str) -> str:
    """Put the text into a code block, with a fence that nothing in the text can close."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{text}\n{fence}"
