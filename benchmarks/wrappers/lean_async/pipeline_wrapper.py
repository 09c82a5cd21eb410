"""An agent with hayserve's lean client of OpenAI, from an async method."""

import os
from collections.abc import AsyncGenerator

from hayhooks import BasePipelineWrapper, async_streaming_generator, get_last_user_message
from haystack.components.agents import Agent
from haystack.dataclasses import ChatMessage
from haystack.utils import Secret

from hayserve.generators import LeanOpenAIChatGenerator


class PipelineWrapper(BasePipelineWrapper):
    def setup(self) -> None:
        model = LeanOpenAIChatGenerator(
            api_key=Secret.from_token("none"), api_base_url=os.environ["BENCHMARK_UPSTREAM"]
        )
        self.pipeline = Agent(chat_generator=model)

    async def run_chat_completion_async(
        self, model: str, messages: list[dict], body: dict
    ) -> AsyncGenerator:
        question = ChatMessage.from_user(get_last_user_message(messages))
        return async_streaming_generator(
            pipeline=self.pipeline, pipeline_run_args={"messages": [question]}
        )
