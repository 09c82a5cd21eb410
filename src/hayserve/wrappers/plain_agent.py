"""Serves an agent that has no wrapper."""

import re
from collections.abc import Callable, Mapping, Sequence
from inspect import Parameter, Signature
from typing import Any, cast

from haystack.components.agents import Agent
from haystack.dataclasses import ChatMessage, ChatRole

from hayserve.wrappers.base import BasePipelineWrapper
from hayserve.wrappers.conversation import last_user_text
from hayserve.wrappers.generation import PARAMETERS
from hayserve.wrappers.messages import chat_messages_from_openai
from hayserve.wrappers.methods import described, give
from hayserve.wrappers.pipeline_io import (
    NOT_FOR_CALLERS,
    InputResolution,
    Target,
    can_be_named,
    in_order,
    input_for,
)
from hayserve.wrappers.streaming import AsyncPipelineStream, async_streaming_generator

_MESSAGES = "messages"


class PlainAgentWrapper(BasePipelineWrapper):
    """Serves an agent as it is.

    `/run` takes `messages`, as a list or as one text, the variables of the agent's prompts and
    what its state holds; it gives the `reply`, the `messages` and the state. As a chat model the
    agent streams. A system message that the client sends reaches the agent.

    Args:
        agent: The agent.
        description: What it does, for people and models.
    """

    generation_parameters = PARAMETERS

    def __init__(self, agent: Agent, *, description: str = "") -> None:
        super().__init__()
        self.pipeline = agent
        self._description = description

    def setup(self) -> None:
        """Find out what the agent takes."""
        agent: Agent = self.pipeline
        inputs = _inputs_of(agent)
        give(self, {"run_api_async": self._run_method(inputs)})
        required = [name for name, resolution in inputs.items() if resolution.required]
        if all(_is_said_by_the_user(agent, name) for name in required) and len(required) <= 1:
            variable = required[0] if required else None
            give(self, {"run_chat_completion_async": _chat_method(agent, variable)})

    def _run_method(self, inputs: Mapping[str, InputResolution]) -> Callable[..., Any]:
        agent: Agent = self.pipeline

        async def run_api_async(
            messages: list[ChatMessage] | str | None = None, **arguments: Any
        ) -> dict[str, Any]:
            if isinstance(messages, str):
                messages = [ChatMessage.from_user(messages)]
            given = {
                name: value
                for name, value in arguments.items()
                if not inputs[name].is_left_out(value)
            }
            return _answer(agent, await agent.run_async(messages=messages or [], **given))

        parameters = [resolution.parameter(name) for name, resolution in inputs.items()]
        return described(
            run_api_async,
            Signature([_messages_of(agent), *parameters], return_annotation=dict[str, Any]),
            description=self._description or "Ask the agent.",
            inputs={_MESSAGES: "The conversation, or what the user says as one text."},
        )


def _chat_method(agent: Agent, variable: str | None) -> Callable[..., Any]:
    """The method that answers conversations.

    If the agent's own prompt has a variable for what the user says, the user's last message goes
    there and not into the messages.
    """

    async def run_chat_completion_async(
        model: str,  # noqa: ARG001 - in the contract
        messages: list[dict[str, Any]],
        body: dict[str, Any],  # noqa: ARG001 - in the contract
    ) -> AsyncPipelineStream:
        conversation = chat_messages_from_openai(messages)
        args: dict[str, Any] = {"messages": conversation}
        if variable is not None:
            args[variable] = last_user_text(conversation)
            args["messages"] = _without_last_of_the_user(conversation)
        return async_streaming_generator(agent, pipeline_run_args=args)

    return run_chat_completion_async


def _inputs_of(agent: Agent) -> dict[str, InputResolution]:
    """The inputs beside the messages: the variables of its prompts, and its state."""
    # Haystack shows a component's inputs only where it is part of a pipeline.
    sockets = cast(
        Mapping[str, Any], getattr(getattr(agent, "__haystack_input__", None), "_sockets_dict", {})
    )
    settings = {*NOT_FOR_CALLERS, _MESSAGES, "generation_kwargs"}
    inputs = {
        name: input_for(
            [Target("agent", name, socket.type, socket.is_mandatory, socket.default_value)]
        )
        for name, socket in sockets.items()
        if name not in settings and can_be_named(name)
    }
    return in_order(inputs)


def _messages_of(agent: Agent) -> Parameter:
    """The parameter for the messages; with a prompt of its own an agent can do without them."""
    if agent.user_prompt:
        optional = list[ChatMessage] | str | None
        return Parameter(_MESSAGES, Parameter.KEYWORD_ONLY, annotation=optional, default=None)
    return Parameter(_MESSAGES, Parameter.KEYWORD_ONLY, annotation=list[ChatMessage] | str)


def _is_said_by_the_user(agent: Agent, variable: str) -> bool:
    mention = re.compile(rf"\b{re.escape(variable)}\b")
    return bool(
        mention.search(agent.user_prompt or "") and not mention.search(agent.system_prompt or "")
    )


def _without_last_of_the_user(messages: Sequence[ChatMessage]) -> list[ChatMessage]:
    last = max(
        (n for n, m in enumerate(messages) if m.is_from(ChatRole.USER)), default=len(messages)
    )
    return [message for n, message in enumerate(messages) if n != last]


def _answer(agent: Agent, result: Mapping[str, Any]) -> dict[str, Any]:
    """What callers of `/run` get. The system prompt stays here."""
    messages: list[ChatMessage] = result["messages"]
    last: ChatMessage | None = result.get("last_message")
    return {
        "reply": (last.text if last else None) or "",
        "messages": [message for message in messages if not message.is_from(ChatRole.SYSTEM)],
        **{name: result.get(name) for name in agent.state_schema if name != _MESSAGES},
    }
