"""An agent with two tools, as a REST endpoint and as a model for OpenAI's clients."""

from collections.abc import Generator
from typing import Any

from haystack.components.agents import Agent
from haystack.dataclasses import ChatMessage

from hayserve import BasePipelineWrapper, SSEStream, streaming_generator

from .model import chat_generator
from .tools import calculate, current_time


class PipelineWrapper(BasePipelineWrapper):
    def setup(self) -> None:
        self.agent = Agent(
            chat_generator=chat_generator(),
            tools=[calculate, current_time],
            system_prompt="You are a helpful assistant. Use your tools for sums and for the time.",
        )

    def run_api(self, question: str, stream: bool = False) -> str | Any:
        """
        Ask the agent a question.

        Args:
            question: What you want to know.
            stream: Whether the answer comes piece by piece, as server-sent events.

        Returns:
            The agent's answer.
        """
        messages = [ChatMessage.from_user(question)]
        if stream:
            return SSEStream(
                streaming_generator(self.agent, pipeline_run_args={"messages": messages})
            )
        return self.agent.run(messages=messages)["last_message"].text

    def run_chat_completion(self, model: str, messages: list[dict], body: dict) -> Generator:
        return streaming_generator(
            self.agent,
            pipeline_run_args={
                "messages": [ChatMessage.from_openai_dict_format(message) for message in messages]
            },
        )
