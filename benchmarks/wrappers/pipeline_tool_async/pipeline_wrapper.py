"""A pipeline with an agent that calls a tool and then streams 200 tokens, from an async method."""

from collections.abc import AsyncGenerator

from hayhooks import BasePipelineWrapper, async_streaming_generator, get_last_user_message
from haystack import Pipeline
from haystack.components.agents import Agent
from haystack.dataclasses import ChatMessage

from benchmarks.models import add_tool, tool_caller


class PipelineWrapper(BasePipelineWrapper):
    def setup(self) -> None:
        self.pipeline = Pipeline()
        self.pipeline.add_component(
            "agent", Agent(chat_generator=tool_caller(), tools=[add_tool()])
        )

    async def run_chat_completion_async(
        self, model: str, messages: list[dict], body: dict
    ) -> AsyncGenerator:
        question = ChatMessage.from_user(get_last_user_message(messages))
        return async_streaming_generator(
            pipeline=self.pipeline, pipeline_run_args={"agent": {"messages": [question]}}
        )
