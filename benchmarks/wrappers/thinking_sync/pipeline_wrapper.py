"""An agent whose model thinks for 5 s before its only token."""

from collections.abc import Generator

from hayhooks import BasePipelineWrapper, get_last_user_message, streaming_generator
from haystack.components.agents import Agent
from haystack.dataclasses import ChatMessage

from benchmarks.models import PacedChatGenerator


class PipelineWrapper(BasePipelineWrapper):
    def setup(self) -> None:
        self.pipeline = Agent(chat_generator=PacedChatGenerator(tokens=1, pause=0.0, thinking=5.0))

    def run_chat_completion(self, model: str, messages: list[dict], body: dict) -> Generator:
        question = ChatMessage.from_user(get_last_user_message(messages))
        return streaming_generator(
            pipeline=self.pipeline, pipeline_run_args={"messages": [question]}
        )
