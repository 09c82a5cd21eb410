"""Events that a Chainlit user interface shows."""

from typing import Any

from hayserve.wrappers.client_events import PipelineEvent

__all__ = ["ChainlitEvent", "PipelineEvent", "create_custom_element_event"]


class ChainlitEvent(PipelineEvent):
    """An event that only a Chainlit user interface knows."""

    # Fewer kinds of data than the base names; wrappers rely on one being a subclass of the other.
    data: dict[str, Any]  # pyright: ignore[reportIncompatibleVariableOverride]


def create_custom_element_event(name: str, props: dict[str, Any]) -> ChainlitEvent:
    """Show a custom element.

    Args:
        name: The element's name: that of its JSX file in `public/elements`, without the ending.
        props: What the element receives as its properties.
    """
    return ChainlitEvent(type="custom_element", data={"name": name, "props": props})
