"""Puts the lean generator in the place of every original that an agent, pipeline or wrapper has."""

from typing import Any, cast

from haystack.components.generators.chat import OpenAIChatGenerator
from haystack.core.pipeline.base import PipelineBase

from hayserve.generators.chat import LeanOpenAIChatGenerator


def make_lean(thing: object) -> int:
    """Turns each `OpenAIChatGenerator` inside `thing` into a `LeanOpenAIChatGenerator`.

    The generators stay the objects that they are, with their arguments and their places in
    pipelines and agents; whoever holds one holds a lean one afterwards. Subclasses, such as the
    one for Azure, stay what they are, and so do clients that a `warm_up` has made before.

    Args:
        thing: An agent, a pipeline, a component, a tool, or an object that has some of these as
            attributes, as a wrapper does. Lists, tuples and dicts are looked into.

    Returns:
        How many generators were turned.

    Example:
        ```python
        from haystack.components.agents import Agent
        from haystack.components.generators.chat import OpenAIChatGenerator

        from hayserve.generators import make_lean

        agent = Agent(chat_generator=OpenAIChatGenerator())
        assert make_lean(agent) == 1
        ```
    """
    turned = 0
    seen: set[int] = set()
    todo = [thing, *_attributes(thing)]
    while todo:
        found = todo.pop()
        if id(found) in seen:
            continue
        seen.add(id(found))
        if type(found) is OpenAIChatGenerator:
            found.__class__ = LeanOpenAIChatGenerator
            turned += 1
        todo.extend(_parts(found))
    return turned


def _parts(thing: object) -> list[object]:
    match thing:
        case dict():
            return list(cast("dict[Any, object]", thing).values())
        case list() | tuple():
            return list(cast("list[object]", thing))
        case PipelineBase():
            nodes = cast("Any", thing).graph.nodes
            return [nodes[name]["instance"] for name in nodes]
        case _:
            return _attributes(thing) if _is_of_haystack(thing) else []


def _is_of_haystack(thing: object) -> bool:
    """It is a component, or one of the tools, toolsets and hooks that hold components."""
    return hasattr(thing, "__haystack_input__") or type(thing).__module__.startswith("haystack")


def _attributes(thing: object) -> list[object]:
    return list(getattr(thing, "__dict__", {}).values())
