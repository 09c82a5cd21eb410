"""The class that wrappers extend.

A wrapper is a folder with a file `pipeline_wrapper.py` that defines a class `PipelineWrapper`:

```python
from hayserve import BasePipelineWrapper


class PipelineWrapper(BasePipelineWrapper):
    def setup(self) -> None:
        self.greeting = "Hello"

    def run_api(self, name: str) -> str:
        return f"{self.greeting}, {name}!"
```
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterable, Collection, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Literal

Kind = Literal["agent", "pipeline", "unknown"]


@dataclass(frozen=True, slots=True)
class SSEStream:
    """Says that the items of a stream go to `/{name}/run` as server-sent events, not plain text.

    Args:
        stream: A generator or an async generator, such as `streaming_generator` returns.

    Raises:
        TypeError: `stream` is not an iterator or an async iterator.
    """

    stream: Iterable[Any] | AsyncIterable[Any]

    def __post_init__(self) -> None:
        if not (hasattr(self.stream, "__next__") or hasattr(self.stream, "__anext__")):
            raise TypeError(
                "SSEStream takes a generator or an async generator, "
                f"not {type(self.stream).__name__!r}"
            )


class BasePipelineWrapper(ABC):
    """What a deployment is made of: `setup()` and at least one method that runs.

    One instance serves all requests, from several threads at once: what `setup()` stores on
    `self` is shared, so keep what belongs to one request out of it.

    A method is served when a subclass defines it. Where both forms of a method are defined, the
    async one is used. All but `run_file_upload` may declare
    `headers: starlette.datastructures.Headers | None = None` and then receive the request's.
    """

    skip_mcp: ClassVar[bool] = False
    skip_a2a: ClassVar[bool] = False
    a2a_card: ClassVar[dict[str, Any] | None] = None
    deployment_type: ClassVar[Kind | None] = None

    own_loop: ClassVar[bool] = False
    """Whether its async code runs on an event loop of its own from the start.

    For code that is async and yet blocks. A deployment that has held up the event loop of the
    server is moved to one of its own anyway, until it is loaded the next time.
    """

    lean_openai: ClassVar[bool] = False
    """Whether its `OpenAIChatGenerator`s are replaced by lean ones, which cost less.

    They are looked for in its attributes, and in the agents and pipelines there, before and after
    `setup()`. The setting `lean_openai` does the same for all deployments.
    """

    generation_parameters: ClassVar[Collection[str] | None] = None
    """The parameters of its model that callers may set, such as `("temperature", "stop")`.

    `streaming_generator` hands them to the model; what the wrapper itself gives it goes first, and
    a request that sets another parameter is refused. With None, which is what wrappers have by
    themselves, the server hands over none: all of them are in `body`, for the wrapper to see to.
    Agents, pipelines and YAML files that have no wrapper let callers set all.
    """

    limits: ClassVar[Mapping[str, float]] = MappingProxyType({})
    """Limits of its runs, such as `{"max_runs": 4, "run_timeout": 60}`.

    There are `max_runs` and `max_waiting` (numbers of runs, in each worker), `run_timeout` (in
    seconds, 0 is ever), `max_body_mb` and `max_upload_mb`. What is not named here is as the
    settings say; what a deploy names wins over both.
    """

    parameters: Mapping[str, Any] = MappingProxyType({})
    """What was given for the parameters of `setup()`; it is there before `setup()` is called."""

    def __init__(self) -> None:
        self.pipeline: Any = None

    @abstractmethod
    def setup(self, *args: Any, **kwargs: Any) -> Any:
        """Make the wrapper ready: build or load the agent or pipeline.

        Called once per deployment, in a thread. An `async def setup` is awaited.

        It may take parameters, which whoever deploys it gives, and which are checked and
        converted by their annotations. One with a default may be left out.

        Example:
            ```python
            def setup(self, model: str = "gpt-5-mini", temperature: float = 0.2) -> None: ...
            ```
        """

    def teardown(self) -> Any:  # noqa: B027 - most wrappers need none
        """Give back what `setup()` opened, such as a connection of your own.

        Called once, in a thread, when the deployment was replaced or removed, or the server
        stops, and its last run has ended. An `async def teardown` is awaited. Pipelines, agents,
        components, tools and stores of Haystack in the wrapper's attributes are closed after it.
        """

    def run_api(self, *args: Any, **kwargs: Any) -> Any:
        """Answer `POST /{name}/run`; the parameters are the fields of the request body."""
        raise NotImplementedError

    async def run_api_async(self, *args: Any, **kwargs: Any) -> Any:
        """Answer `POST /{name}/run` on the event loop."""
        raise NotImplementedError

    def run_chat_completion(
        self, model: str, messages: list[dict[str, Any]], body: dict[str, Any]
    ) -> Any:
        """Answer `POST /v1/chat/completions`.

        Args:
            model: The name that the client asked for.
            messages: The conversation, in OpenAI's form.
            body: The whole request, with every field that the client sent.

        Returns:
            The answer as a string, or a generator of text, `StreamingChunk`s and events.
        """
        raise NotImplementedError

    async def run_chat_completion_async(
        self, model: str, messages: list[dict[str, Any]], body: dict[str, Any]
    ) -> Any:
        """Answer `POST /v1/chat/completions` on the event loop."""
        raise NotImplementedError

    def run_response(
        self, model: str, input_items: list[dict[str, Any]], body: dict[str, Any]
    ) -> Any:
        """Answer `POST /v1/responses`.

        Args:
            model: The name that the client asked for.
            input_items: The input as a list of items; a plain string arrives as one user message.
            body: The whole request, with every field that the client sent.

        Returns:
            The answer as a string, or a generator of text, `StreamingChunk`s and events.
        """
        raise NotImplementedError

    async def run_response_async(
        self, model: str, input_items: list[dict[str, Any]], body: dict[str, Any]
    ) -> Any:
        """Answer `POST /v1/responses` on the event loop."""
        raise NotImplementedError

    def run_embedding(
        self, model: str, texts: list[str], body: dict[str, Any]
    ) -> list[list[float]]:
        """Answer `POST /v1/embeddings`.

        It may declare `dimensions: int | None = None` and then receives how long the client wants
        the embeddings to be; else a request that says so is refused.

        Args:
            model: The name that the client asked for.
            texts: What to embed; one text arrives as a list of one.
            body: The whole request, with every field that the client sent.

        Returns:
            One embedding for each text, in their order.
        """
        raise NotImplementedError

    async def run_embedding_async(
        self, model: str, texts: list[str], body: dict[str, Any]
    ) -> list[list[float]]:
        """Answer `POST /v1/embeddings` on the event loop."""
        raise NotImplementedError

    def run_file_upload(
        self, filename: str | None, content_type: str | None, content: bytes, purpose: str
    ) -> Any:
        """Take a file that was sent to `POST /v1/files`; return its OpenAI file object."""
        raise NotImplementedError
