"""Makes an embedder of a pipeline that has a component which embeds a text."""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, cast, get_args, get_origin

import anyio
from haystack import Pipeline
from haystack.tracing.tracer import tracer

from hayserve.events import Usage
from hayserve.wrappers.context import current_run

# How many texts of one request are embedded at the same time, where a component can do that.
AT_ONCE = 8
_TEXT = "text"
_EMBEDDING = "embedding"


def embedding_methods(pipeline: Pipeline) -> dict[str, Callable[..., Any]]:
    """The method by which a wrapper of this pipeline embeds texts, by its name.

    There is one if exactly one component gives an `embedding`, and all that it needs is a `text`,
    as is so of Haystack's text embedders. Only that component runs, whatever comes after it.
    """
    outputs = pipeline.outputs(include_components_with_connected_outputs=True)
    names = [
        name
        for name, fields in outputs.items()
        if _EMBEDDING in fields and _is_vector(fields[_EMBEDDING]["type"])
    ]
    if len(names) != 1:
        return {}
    component: Any = pipeline.get_component(names[0])
    if not _takes_one_text(component):
        return {}
    embedder = _Embedder(names[0], component)
    if hasattr(component, "run_async"):
        return {"run_embedding_async": _async_method(embedder)}
    return {"run_embedding": _method(embedder)}


def _is_vector(annotation: Any) -> bool:
    return get_origin(annotation) is list and get_args(annotation) == (float,)


def _takes_one_text(component: object) -> bool:
    """Whether a text is all that it needs, and no other component gives it."""
    sockets: Mapping[str, Any] = getattr(
        getattr(component, "__haystack_input__", None), "_sockets_dict", {}
    )
    needed = {name: socket.type for name, socket in sockets.items() if socket.is_mandatory}
    return needed == {_TEXT: str} and not sockets[_TEXT].senders


class _Embedder:
    """A component that embeds one text.

    Args:
        name: Its name in the pipeline.
        component: The component.
    """

    def __init__(self, name: str, component: Any) -> None:
        self._name = name
        self._component = component

    def warm_up(self) -> None:
        """Let it load what it needs, as pipelines do before each run."""
        if hasattr(self._component, "warm_up"):
            self._component.warm_up()

    async def warm_up_async(self) -> None:
        if hasattr(self._component, "warm_up_async"):
            await self._component.warm_up_async()
        else:
            self.warm_up()

    def embed(self, text: str) -> list[float]:
        with self._traced():
            return _vector_in(self._component.run(text=text))

    async def embed_async(self, text: str) -> list[float]:
        with self._traced():
            return _vector_in(await self._component.run_async(text=text))

    @contextmanager
    def _traced(self) -> Generator[None]:
        """Be a step of the run, which ends here if it was stopped."""
        tags = {
            "haystack.component.name": self._name,
            "haystack.component.type": type(self._component).__name__,
        }
        with tracer.trace("haystack.component.run", tags=tags):
            yield


def _vector_in(output: Mapping[str, Any]) -> list[float]:
    _count(output.get("meta"))
    vector: list[float] = output[_EMBEDDING]
    return vector


def _count(meta: object) -> None:
    """Note the tokens that the embedder says it used."""
    run = current_run.get()
    usage = _mapping(_mapping(meta).get("usage"))
    tokens = usage.get("prompt_tokens") or usage.get("total_tokens")
    if run is not None and isinstance(tokens, int):
        run.add_usage(Usage(input_tokens=tokens))


def _mapping(value: object) -> Mapping[str, object]:
    return cast(Mapping[str, object], value) if isinstance(value, Mapping) else {}


def _method(embedder: _Embedder) -> Callable[..., Any]:
    def run_embedding(
        model: str,  # noqa: ARG001 - in the contract
        texts: list[str],
        body: dict[str, Any],  # noqa: ARG001 - in the contract
    ) -> list[list[float]]:
        embedder.warm_up()
        return [embedder.embed(text) for text in texts]

    return run_embedding


def _async_method(embedder: _Embedder) -> Callable[..., Any]:
    async def run_embedding_async(
        model: str,  # noqa: ARG001 - in the contract
        texts: list[str],
        body: dict[str, Any],  # noqa: ARG001 - in the contract
    ) -> list[list[float]]:
        await embedder.warm_up_async()
        return await _embedded(embedder, texts)

    return run_embedding_async


async def _embedded(embedder: _Embedder, texts: Sequence[str]) -> list[list[float]]:
    """The embeddings of all texts, several at the same time; the first that fails ends all."""
    room = anyio.Semaphore(AT_ONCE)
    found: dict[int, list[float]] = {}
    failure: BaseException | None = None

    async def embed(index: int, text: str) -> None:
        async with room:
            found[index] = await embedder.embed_async(text)

    try:
        async with anyio.create_task_group() as tasks:
            for index, text in enumerate(texts):
                tasks.start_soon(embed, index, text)
    except BaseExceptionGroup as failures:
        failure = failures.exceptions[0]
    if failure is not None:  # raised here, so that it tells of nothing but itself
        raise failure
    return [found[index] for index in range(len(texts))]
