"""A pipeline that says what it has found, and gives the documents that it found it in."""

from typing import Any

from haystack import Document, Pipeline, component
from haystack.components.generators.chat import MockChatGenerator
from haystack.dataclasses import ChatMessage

from hayserve import BasePipelineWrapper, streaming_generator
from hayserve.wrappers.messages import get_last_user_message


@component
class Find:
    """Finds a page and a file."""

    @component.output_types(documents=list[Document], messages=list[ChatMessage])
    def run(self, question: str) -> dict[str, Any]:
        page = Document(
            content="Hello.", meta={"url": "https://example.com/page", "title": "A page"}
        )
        file = Document(content="Hello.", meta={"file_id": "file-1", "file_name": "a.pdf"})
        return {"documents": [page, file], "messages": [ChatMessage.from_user(question)]}


class PipelineWrapper(BasePipelineWrapper):
    def setup(self) -> None:
        self.pipeline = Pipeline()
        self.pipeline.add_component("find", Find())
        self.pipeline.add_component("llm", MockChatGenerator("Hello from hayserve."))
        self.pipeline.connect("find.messages", "llm.messages")

    def run_chat_completion(
        self, model: str, messages: list[dict[str, Any]], body: dict[str, Any]
    ) -> Any:
        question = get_last_user_message(messages)
        return streaming_generator(
            self.pipeline, pipeline_run_args={"find": {"question": question}}
        )
