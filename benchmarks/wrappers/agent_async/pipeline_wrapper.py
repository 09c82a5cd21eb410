"""An agent that streams 200 tokens, from an async method."""

from collections.abc import AsyncGenerator

from hayhooks import BasePipelineWrapper, async_streaming_generator, get_last_user_message
from haystack.components.agents import Agent
from haystack.dataclasses import ChatMessage

from benchmarks.models import fast_model


class PipelineWrapper(BasePipelineWrapper):
    def setup(self) -> None:
        self.pipeline = Agent(chat_generator=fast_model())

    async def run_chat_completion_async(
        self, model: str, messages: list[dict], body: dict
    ) -> AsyncGenerator:
        question = ChatMessage.from_user(get_last_user_message(messages))
        return async_streaming_generator(
            pipeline=self.pipeline, pipeline_run_args={"messages": [question]}
        )
