"""A pipeline with an agent that calls a tool and then streams 200 tokens."""

from collections.abc import Generator

from hayhooks import BasePipelineWrapper, get_last_user_message, streaming_generator
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

    def run_chat_completion(self, model: str, messages: list[dict], body: dict) -> Generator:
        question = ChatMessage.from_user(get_last_user_message(messages))
        return streaming_generator(
            pipeline=self.pipeline, pipeline_run_args={"agent": {"messages": [question]}}
        )
