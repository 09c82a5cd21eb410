"""Serves wrappers to a test: the real routes, runs and error answers, without a socket."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import orjson
from httpx2 import ASGITransport, AsyncClient, Response
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from starlette.applications import Starlette
from starlette.middleware import Middleware

from hayserve.deployments.deployment import Deployment
from hayserve.deployments.registry import Registry
from hayserve.protocols.openai_chat.routes import OpenAIChat
from hayserve.runs.execute import Executor
from hayserve.server.error_responses import handlers
from hayserve.server.middleware import RunIds
from hayserve.wrappers.base import BasePipelineWrapper
from hayserve.wrappers.capabilities import capabilities_of

LOADED_AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class Wrapper(BasePipelineWrapper):
    """A wrapper with nothing to set up."""

    def setup(self) -> None: ...


def deployed(name: str, wrapper: BasePipelineWrapper, *aliases: str) -> Deployment:
    can = capabilities_of(wrapper, name=name)
    return Deployment(name, wrapper, can, aliases=aliases, loaded_at=LOADED_AT)


def registered(*deployments: Deployment) -> Registry:
    registry = Registry()
    for deployment in deployments:
        registry.put(deployment)
    return registry


@asynccontextmanager
async def application(*deployments: Deployment) -> AsyncGenerator[Starlette, None]:
    executor = Executor()
    async with executor.running():
        yield Starlette(
            routes=OpenAIChat(registered(*deployments), executor).routes(),
            middleware=[Middleware(RunIds)],
            exception_handlers=handlers(),
        )


@asynccontextmanager
async def served(*deployments: Deployment) -> AsyncGenerator[AsyncClient, None]:
    async with application(*deployments) as app:
        transport = ASGITransport(app)
        async with AsyncClient(transport=transport, base_url="http://test") as client:
            yield client


async def ask(client: AsyncClient, model: str = "it", **fields: Any) -> Response:
    messages = [{"role": "user", "content": "Hello"}]
    body = {"model": model, "messages": messages, **fields}
    return await client.post("/v1/chat/completions", json=body)


def completion_in(response: Response) -> ChatCompletion:
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/json"
    return ChatCompletion.model_validate(response.json(), strict=True)


def frames_in(stream: bytes) -> list[dict[str, Any]]:
    """What a stream's frames hold; it must end with `[DONE]`."""
    frames = stream.split(b"\n\n")
    assert frames[-2:] == [b"data: [DONE]", b""]
    return [orjson.loads(frame.removeprefix(b"data: ")) for frame in frames[:-2]]


def chunks_in(stream: bytes) -> list[ChatCompletionChunk]:
    return [ChatCompletionChunk.model_validate(each, strict=True) for each in frames_in(stream)]


def said_in(chunks: list[ChatCompletionChunk]) -> str:
    return "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
