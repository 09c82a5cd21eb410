"""Two components of one pipeline stream, one after the other."""
# pyright: basic, reportMissingImports=false

from collections.abc import Generator
from typing import Any

from hayhooks import BasePipelineWrapper, Pipeline
from hayhooks.server.pipelines.utils import find_all_streaming_components, streaming_generator
from haystack import component
from haystack.dataclasses import StreamingChunk


@component
class Speaker:
    """Says what it is given, and has no async form."""

    @component.output_types(said=str)
    def run(self, text: str, streaming_callback: Any = None) -> dict[str, str]:
        if streaming_callback:
            for word in text.split():
                streaming_callback(StreamingChunk(content=f"{word} "))
        return {"said": text.upper()}


class PipelineWrapper(BasePipelineWrapper):
    def setup(self) -> None:
        self.pipeline = Pipeline()
        self.pipeline.add_component("first", Speaker())
        self.pipeline.add_component("second", Speaker())
        self.pipeline.connect("first.said", "second.text")

    def run_api(self, text: str) -> list[str]:
        return [name for _, name in find_all_streaming_components(self.pipeline)]

    def run_chat_completion(self, model: str, messages: list[dict], body: dict) -> str | Generator:
        return streaming_generator(
            pipeline=self.pipeline,
            pipeline_run_args={"first": {"text": messages[-1]["content"]}},
            streaming_components=body.get("streaming_components"),
        )
