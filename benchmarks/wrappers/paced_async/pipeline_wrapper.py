"""An agent whose model says 200 tokens, one in 10 ms, from an async method."""

from collections.abc import AsyncGenerator

from hayhooks import BasePipelineWrapper, async_streaming_generator, get_last_user_message
from haystack.components.agents import Agent
from haystack.dataclasses import ChatMessage

from benchmarks.models import PacedChatGenerator


class PipelineWrapper(BasePipelineWrapper):
    def setup(self) -> None:
        self.pipeline = Agent(chat_generator=PacedChatGenerator())

    async def run_chat_completion_async(
        self, model: str, messages: list[dict], body: dict
    ) -> AsyncGenerator:
        question = ChatMessage.from_user(get_last_user_message(messages))
        return async_streaming_generator(
            pipeline=self.pipeline, pipeline_run_args={"messages": [question]}
        )
