"""An agent that executes tools of its own, and has its client execute one that the client sends."""

import re
from collections.abc import Sequence
from typing import Any

from haystack.components.agents import Agent
from haystack.components.generators.chat import MockChatGenerator
from haystack.dataclasses import ChatMessage, ChatRole, ToolCall
from haystack.tools import ToolsType, flatten_tools_or_toolsets
from haystack.tools.tool import Tool

from hayserve import BasePipelineWrapper, async_streaming_generator, chat_messages_from_openai

NUMBERS = {
    "type": "object",
    "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
    "required": ["a", "b"],
}


def reply(messages: list[ChatMessage], tools: ToolsType | None) -> ChatMessage:
    """What the model says; it begins with the number of the user's messages."""
    turn = sum(message.is_from(ChatRole.USER) for message in messages)
    if results := messages[-1].tool_call_results:
        return _said(f"{turn}: The tool says {results[-1].result}.")
    text = [message.text or "" for message in messages if message.is_from(ChatRole.USER)][-1]
    call = _call_for(text, {tool.name for tool in flatten_tools_or_toolsets(tools)})
    if call is not None:
        return _said(None, call=call)
    if "Which weather" in text:
        text = f"{', '.join(_weather_in(messages))}."
    return _said(f"{turn}: {text}")


def _call_for(text: str, tools: set[str]) -> ToolCall | None:
    if "get_weather" in tools and (found := re.search(r"weather in (\w+)", text)):
        # Models number their calls as they like.
        return ToolCall("get_weather", {"city": found[1]}, id="call_1")
    if found := re.search(r"(add|divide) (\d+) (\d+)", text):
        return ToolCall(found[1], {"a": int(found[2]), "b": int(found[3])}, id="call_1")
    return None


def _weather_in(messages: Sequence[ChatMessage]) -> list[str]:
    """What the client's tool has said so far."""
    return [
        str(result.result)
        for message in messages
        for result in message.tool_call_results
        if result.origin.tool_name == "get_weather"
    ]


def _said(text: str | None, *, call: ToolCall | None = None) -> ChatMessage:
    meta = {"usage": {"prompt_tokens": 10, "completion_tokens": 5}}
    return ChatMessage.from_assistant(text, tool_calls=[call] if call else None, meta=meta)


def add(a: int, b: int) -> int:
    return a + b


def divide(a: int, b: int) -> float:
    return a / b


class PipelineWrapper(BasePipelineWrapper):
    def setup(self) -> None:
        self.agent = Agent(
            chat_generator=MockChatGenerator(response_fn=reply),
            tools=[
                Tool("add", "Adds two numbers.", NUMBERS, function=add),
                Tool("divide", "Divides a number by another.", NUMBERS, function=divide),
            ],
        )

    async def run_chat_completion_async(
        self, model: str, messages: list[dict[str, Any]], body: dict[str, Any]
    ) -> Any:
        conversation = chat_messages_from_openai(messages)
        return async_streaming_generator(self.agent, pipeline_run_args={"messages": conversation})
