"""An agent that executes a tool of its own before it answers."""

from typing import Any

from haystack.components.agents import Agent
from haystack.components.generators.chat import MockChatGenerator
from haystack.dataclasses import ChatMessage, ToolCall
from haystack.tools.tool import Tool

from hayserve import BasePipelineWrapper, chat_messages_from_openai, streaming_generator

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


def reply(messages: list[ChatMessage], **_: Any) -> ChatMessage:
    usage = {"prompt_tokens": 10, "completion_tokens": 5}
    if messages[-1].tool_call_result is None:
        call = ToolCall("weather", {"city": "Paris"}, id="call_1")
        return ChatMessage.from_assistant(tool_calls=[call], meta={"usage": usage})
    return ChatMessage.from_assistant("Hello from hayserve.", meta={"usage": usage})


def weather(city: str) -> str:
    return f"sunny in {city}"


class PipelineWrapper(BasePipelineWrapper):
    def setup(self) -> None:
        self.pipeline = Agent(
            chat_generator=MockChatGenerator(response_fn=reply),
            tools=[Tool("weather", "Says how the weather is.", CITY, function=weather)],
        )

    def run_chat_completion(
        self, model: str, messages: list[dict[str, Any]], body: dict[str, Any]
    ) -> Any:
        conversation = chat_messages_from_openai(messages)
        return streaming_generator(self.pipeline, pipeline_run_args={"messages": conversation})
