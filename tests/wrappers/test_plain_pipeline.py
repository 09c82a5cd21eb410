"""What a pipeline can do that has no wrapper."""

from typing import Any

from haystack import Pipeline
from haystack.components.embedders import MockTextEmbedder
from haystack.components.generators.chat import MockChatGenerator

from hayserve.wrappers.capabilities import capabilities_of
from hayserve.wrappers.plain_pipeline import PlainPipelineWrapper


def abilities(part: Any) -> list[str]:
    pipeline = Pipeline()
    pipeline.add_component("part", part)
    wrapper = PlainPipelineWrapper(pipeline)
    wrapper.setup()
    return capabilities_of(wrapper, name="it").names()


def test_a_pipeline_with_a_text_embedder_embeds() -> None:
    assert abilities(MockTextEmbedder()) == ["run_api", "embeddings"]


def test_a_pipeline_without_one_does_not() -> None:
    assert abilities(MockChatGenerator()) == ["run_api", "chat_completion"]
