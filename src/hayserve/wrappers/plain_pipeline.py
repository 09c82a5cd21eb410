"""Serves a pipeline that has no wrapper."""

from haystack import Pipeline

from hayserve.wrappers.base import BasePipelineWrapper
from hayserve.wrappers.embedding import embedding_methods
from hayserve.wrappers.generation import PARAMETERS
from hayserve.wrappers.methods import give
from hayserve.wrappers.named_pipeline import NamedPipeline
from hayserve.wrappers.pipeline_io import inputs_of


class PlainPipelineWrapper(BasePipelineWrapper):
    """Serves a pipeline as it is: its inputs are the request, its result is the answer.

    One with a single component that embeds a text is an embedder too.

    Args:
        pipeline: The pipeline.
        description: What it does, for people and models.
    """

    generation_parameters = PARAMETERS

    def __init__(self, pipeline: Pipeline, *, description: str = "") -> None:
        super().__init__()
        self.pipeline = pipeline
        self._description = description

    def setup(self) -> None:
        """Find out what the pipeline takes.

        Raises:
            DeployRefused: One of its required inputs cannot be named.
        """
        named = NamedPipeline(
            self.pipeline, inputs=inputs_of(self.pipeline), description=self._description
        )
        give(self, {**named.methods(), **embedding_methods(self.pipeline)})
