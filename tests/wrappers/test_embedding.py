"""Pipelines that embed texts by themselves."""

from typing import Any, List  # noqa: UP035 - components are annotated so, too

import anyio
import pytest
from haystack import Document, Pipeline, component
from haystack.components.embedders import MockDocumentEmbedder, MockTextEmbedder

from hayserve.events import RunFailed, RunFinished, Usage
from hayserve.runs.execute import Executor
from hayserve.runs.run import Run, new_ids
from hayserve.wrappers.capabilities import Method
from hayserve.wrappers.context import RunContext, RunEnded, current_run
from hayserve.wrappers.embedding import AT_ONCE, embedding_methods
from hayserve.wrappers.usage import count_usage

pytestmark = pytest.mark.anyio


@component
class Plain:
    """Embeds a text as its length; has no async form, no meta, and nothing to warm up."""

    @component.output_types(embedding=List[float])  # noqa: UP006
    def run(self, text: str, scale: float = 1.0) -> dict[str, Any]:
        return {"embedding": [len(text) * scale]}


@component
class Warm:
    """Embeds when it is warm; says which texts it had, and what it used."""

    def __init__(self, **meta: Any) -> None:
        self.meta = meta
        self.is_warm = False
        self.texts: list[str] = []

    def warm_up(self) -> None:
        self.is_warm = True

    @component.output_types(embedding=list[float], meta=dict[str, Any])
    def run(self, text: str) -> dict[str, Any]:
        assert self.is_warm
        self.texts.append(text)
        return {"embedding": [len(text)], "meta": self.meta}


@component
class Async:
    """Embeds on the event loop; counts how many texts are under way, and fails where it is told."""

    def __init__(self, fails_at: str = "") -> None:
        self.fails_at = fails_at
        self.under_way = 0
        self.most = 0
        self.is_warm = False

    async def warm_up_async(self) -> None:
        self.is_warm = True

    @component.output_types(embedding=list[float])
    def run(self, text: str) -> dict[str, Any]:
        raise NotImplementedError

    @component.output_types(embedding=list[float])
    async def run_async(self, text: str) -> dict[str, Any]:
        assert self.is_warm
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await anyio.wait_all_tasks_blocked()
        self.under_way -= 1
        if text == self.fails_at:
            raise ValueError(f"not {text}")
        return {"embedding": [len(text)]}


@component
class Picky:
    @component.output_types(embedding=list[float])
    def run(self, text: str, language: str) -> dict[str, Any]:
        raise NotImplementedError


@component
class Pictures:
    @component.output_types(embedding=list[float])
    def run(self, text: bytes) -> dict[str, Any]:
        raise NotImplementedError


@component
class Sparse:
    @component.output_types(embedding=dict[int, float])
    def run(self, text: str) -> dict[str, Any]:
        raise NotImplementedError


@component
class Clean:
    @component.output_types(text=str)
    def run(self, text: str) -> dict[str, Any]:
        raise NotImplementedError


@component
class Retrieve:
    def __init__(self) -> None:
        self.has_run = False

    @component.output_types(documents=list[Document])
    def run(self, query_embedding: list[float]) -> dict[str, Any]:
        raise NotImplementedError


def of(*parts: Any) -> Pipeline:
    pipeline = Pipeline()
    for number, part in enumerate(parts):
        pipeline.add_component(f"part{number}", part)
    return pipeline


def connected(first: Any, second: Any, *, by: str) -> Pipeline:
    pipeline = of(first, second)
    sender, receiver = by.split(" ")
    pipeline.connect(f"part0.{sender}", f"part1.{receiver}")
    return pipeline


async def embedded(pipeline: Pipeline, *texts: str) -> Any:
    """The closing event of a run of the method that the pipeline gets."""
    [(name, function)] = embedding_methods(pipeline).items()
    method = Method(name, function, is_async=name.endswith("_async"), wants_headers=False)
    arguments: dict[str, Any] = {"model": "it", "texts": [*texts], "body": {}}
    executor = Executor()
    async with executor.running():
        [closing] = await executor.start(Run(new_ids(1)[0], "it", method, arguments)).all_events()
    return closing


@pytest.mark.parametrize("part", [Plain, Warm, MockTextEmbedder])
async def test_a_component_that_embeds_a_text_makes_an_embedder(part: Any) -> None:
    closing = await embedded(of(part()), "a", "bcd")
    assert isinstance(closing, RunFinished)
    assert len(closing.result) == 2


async def test_a_component_without_an_async_form_embeds_one_text_after_the_other() -> None:
    part = Warm()
    closing = await embedded(of(part), "a", "bcd")
    assert closing.result == [[1], [3]]
    assert part.texts == ["a", "bcd"]
    assert list(embedding_methods(of(Plain()))) == ["run_embedding"]


async def test_a_component_with_an_async_form_embeds_several_at_once_in_order() -> None:
    part = Async()
    texts = ["a" * length for length in range(1, 2 * AT_ONCE + 2)]
    closing = await embedded(of(part), *texts)
    assert closing.result == [[len(text)] for text in texts]
    assert part.most == AT_ONCE


async def test_the_first_text_that_fails_ends_the_run_with_its_own_error() -> None:
    part = Async(fails_at="b")
    closing = await embedded(of(part), "a", "b", "c", *"d" * AT_ONCE)
    assert isinstance(closing, RunFailed)
    assert "ValueError: not b" in closing.error.message


@pytest.mark.parametrize(
    ("meta", "usage"),
    [
        ({"usage": {"prompt_tokens": 2, "total_tokens": 2}}, Usage(input_tokens=4)),
        ({"usage": {"total_tokens": 3}}, Usage(input_tokens=6)),
        ({"usage": {"total_tokens": "3"}}, None),
        ({"usage": 3}, None),
        ({}, None),
    ],
)
async def test_what_the_embedder_says_it_used_is_counted(
    meta: dict[str, Any], usage: Usage | None
) -> None:
    closing = await embedded(of(Warm(**meta)), "a", "b")
    assert closing.usage == usage


async def test_tokens_are_counted_once_though_runs_are_traced() -> None:
    count_usage()
    closing = await embedded(of(Warm(usage={"prompt_tokens": 2})), "a")
    assert closing.usage == Usage(input_tokens=2)


def test_outside_of_a_run_nothing_is_counted() -> None:
    part = Warm(usage={"prompt_tokens": 2})
    function = embedding_methods(of(part))["run_embedding"]
    assert function(model="it", texts=["a"], body={}) == [[1]]


def test_a_run_that_was_stopped_embeds_no_further_text() -> None:
    count_usage()
    part = Warm()
    run = RunContext("1")
    run.is_stopped = True
    token = current_run.set(run)
    function = embedding_methods(of(part))["run_embedding"]
    with pytest.raises(RunEnded):
        function(model="it", texts=["a"], body={})
    current_run.reset(token)
    assert part.texts == []


async def test_what_comes_after_the_embedder_does_not_run() -> None:
    pipeline = connected(Warm(), Retrieve(), by="embedding query_embedding")
    closing = await embedded(pipeline, "a")
    assert closing.result == [[1]]


@pytest.mark.parametrize(
    "pipeline",
    [
        of(Clean()),
        of(Sparse()),
        of(Picky()),
        of(Pictures()),
        of(MockDocumentEmbedder()),
        of(Plain(), Warm()),
        connected(Clean(), Plain(), by="text text"),
    ],
)
def test_any_other_pipeline_is_no_embedder(pipeline: Pipeline) -> None:
    assert embedding_methods(pipeline) == {}
