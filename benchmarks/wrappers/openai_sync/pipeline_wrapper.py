"""An agent with Haystack's own client of OpenAI."""

import os
from collections.abc import Generator

from hayhooks import BasePipelineWrapper, get_last_user_message, streaming_generator
from haystack.components.agents import Agent
from haystack.components.generators.chat import OpenAIChatGenerator
from haystack.dataclasses import ChatMessage
from haystack.utils import Secret


class PipelineWrapper(BasePipelineWrapper):
    def setup(self) -> None:
        model = OpenAIChatGenerator(
            api_key=Secret.from_token("none"), api_base_url=os.environ["BENCHMARK_UPSTREAM"]
        )
        self.pipeline = Agent(chat_generator=model)

    def run_chat_completion(self, model: str, messages: list[dict], body: dict) -> Generator:
        question = ChatMessage.from_user(get_last_user_message(messages))
        return streaming_generator(
            pipeline=self.pipeline, pipeline_run_args={"messages": [question]}
        )
