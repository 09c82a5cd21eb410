"""Hands a caller's parameters and tools to what takes them: an agent, a model in a pipeline."""

from collections.abc import Mapping
from inspect import signature
from typing import Any

from haystack.components.agents import Agent

from hayserve.wrappers.asked import Asked
from hayserve.wrappers.client_tools import client_tool
from hayserve.wrappers.streaming_targets import Target


def options_for_agent(agent: Agent, asked: Asked) -> dict[str, Any]:
    """The parameters for an agent's model, as `Agent.run` takes them."""
    return _generation(agent.chat_generator, asked.options)


def options_for(target: Target, asked: Asked) -> dict[str, Any]:
    """The parameters and the tools for a component of a pipeline, as far as it takes them.

    What executes its calls itself gets no tools: it would execute the client's too.
    """
    component = target.component
    if isinstance(component, Agent):
        return _generation(component.chat_generator, asked.generation)
    if not asked.tools or target.owns_tool_calls or "tools" not in _parameters(component):
        return _generation(component, asked.generation)
    tools = [client_tool(tool) for tool in asked.tools]
    return {"tools": tools, **_generation(component, asked.options)}


def _generation(component: Any, options: Mapping[str, Any]) -> dict[str, Any]:
    if not options or "generation_kwargs" not in _parameters(component):
        return {}
    return {"generation_kwargs": dict(options)}


def _parameters(component: Any) -> Mapping[str, Any]:
    return signature(component.run).parameters
