"""A pipeline whose model streams 200 tokens."""

from collections.abc import Generator

from hayhooks import BasePipelineWrapper, get_last_user_message, streaming_generator
from haystack import Pipeline
from haystack.dataclasses import ChatMessage

from benchmarks.models import fast_model


class PipelineWrapper(BasePipelineWrapper):
    def setup(self) -> None:
        self.pipeline = Pipeline()
        self.pipeline.add_component("llm", fast_model())

    def run_chat_completion(self, model: str, messages: list[dict], body: dict) -> Generator:
        question = ChatMessage.from_user(get_last_user_message(messages))
        return streaming_generator(
            pipeline=self.pipeline, pipeline_run_args={"llm": {"messages": [question]}}
        )
