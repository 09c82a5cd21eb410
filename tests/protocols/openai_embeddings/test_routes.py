"""Embeddings as OpenAI's clients ask for them, through the real routes and runs."""

from types import MappingProxyType
from typing import Any

import pytest
from haystack import Pipeline
from haystack.components.embedders import MockTextEmbedder
from httpx2 import AsyncClient
from openai import AsyncOpenAI
from starlette.datastructures import Headers

from hayserve.wrappers.plain_pipeline import PlainPipelineWrapper
from protocols.openai_embeddings.served import Lengths, Wrapper, served

pytestmark = pytest.mark.anyio


class Sized(Wrapper):
    async def run_embedding_async(
        self,
        model: str,
        texts: list[str],
        body: dict[str, Any],
        *,
        dimensions: int | None = None,
        headers: Headers | None = None,
    ) -> list[list[float]]:
        assert headers is not None
        return [[float(headers["x-start"])] * (dimensions or 2) for _ in texts]


class Failing(Wrapper):
    def run_embedding(
        self, model: str, texts: list[str], body: dict[str, Any]
    ) -> list[list[float]]:
        raise ValueError("no model")


class Api(Wrapper):
    def run_api(self) -> str:
        raise NotImplementedError


class Small(Lengths):
    limits = MappingProxyType({"max_body_mb": 0.001})


def openai_of(client: AsyncClient) -> AsyncOpenAI:
    return AsyncOpenAI(base_url="http://test/v1", api_key="none", http_client=client, max_retries=0)


@pytest.mark.parametrize("path", ["/v1/embeddings", "/embeddings"])
async def test_texts_are_embedded(path: str) -> None:
    async with served(Lengths()) as client:
        answer = await client.post(path, json={"model": "it-alias", "input": ["a", "bcd"]})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert [each["embedding"] for each in answer.json()["data"]] == [[1.0, 97.0], [3.0, 98.0]]
    assert answer.json()["model"] == "it-alias"


async def test_openais_own_client_reads_them_in_base64_and_as_numbers() -> None:
    async with served(Lengths()) as client:
        openai = openai_of(client)
        in_base64 = await openai.embeddings.create(model="it", input="bcd", user="me")
        as_numbers = await openai.embeddings.create(
            model="it", input=["bcd"], encoding_format="float"
        )
    assert in_base64.data[0].embedding == as_numbers.data[0].embedding == [3.0, 98.0]


async def test_more_than_a_few_are_in_order_too() -> None:
    texts = ["a" * length for length in range(1, 101)]
    async with served(Lengths()) as client:
        answer = await openai_of(client).embeddings.create(model="it", input=texts)
    assert [each.embedding[0] for each in answer.data] == list(range(1, 101))
    assert [each.index for each in answer.data] == list(range(100))


async def test_a_pipeline_with_a_text_embedder_embeds_and_counts() -> None:
    pipeline = Pipeline()
    pipeline.add_component("embedder", MockTextEmbedder(dimension=4))
    async with served(PlainPipelineWrapper(pipeline)) as client:
        answer = await openai_of(client).embeddings.create(model="it", input=["a b", "c"])
    expected = MockTextEmbedder(dimension=4).run("c")["embedding"]
    assert answer.data[1].embedding == pytest.approx(expected, abs=1e-6)
    assert (answer.usage.prompt_tokens, answer.usage.total_tokens) == (3, 3)


async def test_a_wrapper_may_take_dimensions_and_headers() -> None:
    async with served(Sized()) as client:
        client.headers["x-start"] = "7"
        answer = await openai_of(client).embeddings.create(model="it", input="a", dimensions=3)
    assert answer.data[0].embedding == [7.0, 7.0, 7.0]


@pytest.mark.parametrize(
    ("body", "status", "at_fault"),
    [
        ({"model": "nobody", "input": "a"}, 404, ("model_not_found", "model")),
        ({"model": "it2", "input": "a"}, 400, ("not_capable", "model")),
        ({"model": "it3", "input": "a"}, 500, ("wrapper_failed", None)),
        ({"model": "it4", "input": "a" * 1000}, 413, ("too_large", None)),
        ({"model": "it", "input": [1, 2]}, 400, ("invalid_request", "input")),
        ({"model": "it", "input": "a", "dimensions": 3}, 400, ("invalid_request", "dimensions")),
        ({"model": "it"}, 400, ("invalid_input", "input")),
    ],
)
async def test_a_request_that_cannot_be_served_is_told_why(
    body: dict[str, Any], status: int, at_fault: tuple[str, str | None]
) -> None:
    async with served(Lengths(), Api(), Failing(), Small()) as client:
        answer = await client.post("/v1/embeddings", json=body)
    assert answer.status_code == status
    error = answer.json()["error"]
    assert (error["code"], error["param"]) == at_fault
