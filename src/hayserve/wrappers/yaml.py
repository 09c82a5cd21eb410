"""Pipelines that are written in YAML."""

from functools import cached_property
from pathlib import Path
from typing import Self

from hayserve.errors import DeployRefused, InvalidRequest
from hayserve.wrappers.base import BasePipelineWrapper
from hayserve.wrappers.embedding import embedding_methods
from hayserve.wrappers.generation import PARAMETERS
from hayserve.wrappers.methods import give
from hayserve.wrappers.named_pipeline import NamedPipeline
from hayserve.wrappers.pipeline_io import InputResolution, OutputResolution
from hayserve.wrappers.run_limits import RunLimits
from hayserve.wrappers.streaming_targets import StreamingComponents
from hayserve.wrappers.yaml_components import load_pipeline
from hayserve.wrappers.yaml_document import YAMLDocument
from hayserve.wrappers.yaml_io import Declarations


class YAMLPipelineWrapper(BasePipelineWrapper):
    """Serves a Haystack pipeline that is written in YAML.

    The YAML is what `Pipeline.dumps` writes, and three sections beside it:

    ```yaml
    components:
      prompt:
        type: ChatPromptBuilder
        init_parameters:
          template: '{% message role="user" %}Answer: {{ question }}{% endmessage %}'
      llm:
        type: OpenAIChatGenerator
    connections:
      - sender: prompt.prompt
        receiver: llm.messages
    inputs:
      question: prompt.question
    outputs:
      replies: llm.replies
    ```

    A class of Haystack may be called by its short name. `inputs` gives each name one
    `component.field` or a list of them, `outputs` one; `streaming_components` is a list of
    components, or "all". Without `inputs` the pipeline's own are taken, without `outputs` the
    answer is what `Pipeline.run` returns. `limits` are those of its runs, as a wrapper's class
    has them.

    Where an input can take a conversation, the pipeline is a chat model too: all messages go to
    an input of the type `list[ChatMessage]`, the user's last text to any other.

    Make one with `from_yaml` or `from_file`.
    """

    generation_parameters = PARAMETERS

    def __init__(self, document: YAMLDocument, *, description: str | None) -> None:
        super().__init__()
        self._document = document
        self._description = description

    @classmethod
    def from_yaml(cls, source: str, description: str | None = None) -> Self:
        """Read a pipeline from YAML; it is built by `setup()`.

        Args:
            source: The YAML text.
            description: What the pipeline does, for people and models. If it is None, the
                `description` in the YAML's `metadata` is taken.

        Raises:
            DeployRefused: The source is not YAML, or not a mapping.
        """
        return cls(YAMLDocument(source), description=description)

    @classmethod
    def from_file(cls, path: str | Path, description: str | None = None) -> Self:
        """Read a pipeline from a YAML file; otherwise as `from_yaml`.

        Raises:
            DeployRefused: The file's text is not UTF-8, not YAML, or not a mapping.
            FileNotFoundError: There is no such file.
        """
        try:
            source = Path(path).read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise DeployRefused(
                f"{Path(path).name!r} is not UTF-8 text.", hint="Save it with the encoding UTF-8."
            ) from error
        return cls.from_yaml(source, description)

    def setup(self) -> None:
        """Build the pipeline and check what is declared; nothing happens the second time.

        Raises:
            DeployRefused: Something in the YAML cannot be used; the message has its line.
        """
        if self.pipeline is None:
            named = self._named
            give(self, {**named.methods(), **embedding_methods(named.pipeline)})
            self.pipeline = named.pipeline

    @property
    def input_resolutions(self) -> dict[str, InputResolution]:
        """The inputs by name."""
        return dict(self._named.inputs)

    @property
    def output_resolutions(self) -> dict[str, OutputResolution]:
        """The outputs by name; empty if none are declared."""
        return dict(self._named.outputs)

    @property
    def include_outputs_from(self) -> set[str] | None:
        """The components that the outputs come from; None if none are declared."""
        return self._named.include_outputs_from

    @property
    def streaming_components(self) -> StreamingComponents:
        """The components that stream: names, "all", or None if nothing is declared."""
        return self._named.streaming_components

    @property
    def description(self) -> str | None:
        """What the pipeline does; None if nobody said."""
        return self._named.description or None

    @property
    def run_limits(self) -> RunLimits:
        """What `limits` says.

        Raises:
            DeployRefused: One of them is none, or has a value that it cannot have.
        """
        try:
            return RunLimits.of(self._document.data.get("limits") or {})
        except InvalidRequest as error:
            where = (error.param or "").split(".", 1)
            raise self._document.refusal(error.message, *where, hint=error.hint) from error

    @cached_property
    def _named(self) -> NamedPipeline:
        pipeline = load_pipeline(self._document)
        declarations = Declarations(self._document, pipeline)
        said = self._description
        if said is None:
            said = str(pipeline.metadata.get("description", ""))
        return NamedPipeline(
            pipeline,
            inputs=declarations.inputs(),
            outputs=declarations.outputs(),
            streaming_components=declarations.streaming_components(),
            description=said,
        )
