"""Serves wrappers to a test: the real routes, runs and error answers, without a socket."""

import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio.to_thread
import orjson
from httpx2 import ASGITransport, AsyncClient, Response
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from starlette.applications import Starlette

from hayserve.deployments.deployment import Deployment
from hayserve.deployments.registry import Registry
from hayserve.kept.completions import Completions
from hayserve.kept.files import Files
from hayserve.kept.pauses import Pauses
from hayserve.kept.responses import Responses
from hayserve.protocols.agent_request import AgentRequests
from hayserve.protocols.openai_chat.routes import OpenAIChat
from hayserve.protocols.openai_chat.stored import StoredCompletions
from hayserve.protocols.openai_responses.shelf import Shelf
from hayserve.runs.execute import Executor
from hayserve.server.error_responses import handlers
from hayserve.storage.database import Database
from hayserve.wrappers.base import BasePipelineWrapper
from hayserve.wrappers.capabilities import capabilities_of
from protocols.doors import OPEN

KEEP_SECONDS = 3600.0
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


class Kept:
    """What the server keeps, in a database in a temporary folder."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.shelf = Shelf(Files(database), keep_seconds=KEEP_SECONDS)
        self.agents = AgentRequests(Pauses(database, keep_seconds=KEEP_SECONDS))
        self.responses = Responses(database, keep_seconds=KEEP_SECONDS)
        self.stored = StoredCompletions(
            self.responses,
            worker="w1",
            completions=Completions(database),
        )


@asynccontextmanager
async def keeping() -> AsyncGenerator[Kept]:
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{Path(folder) / 'hayserve.db'}")
        await anyio.to_thread.run_sync(database.open)
        try:
            yield Kept(database)
        finally:
            database.close()


@asynccontextmanager
async def application(
    *deployments: Deployment,
) -> AsyncGenerator[Starlette, None]:
    """A server, whose `state.kept` has what it keeps."""
    executor = Executor()
    async with keeping() as kept, executor.running():
        chat = OpenAIChat(
            registered(*deployments),
            executor,
            stored=kept.stored,
            shelf=kept.shelf,
            agents=kept.agents,
        )
        app = Starlette(
            routes=[*chat.routes(), *kept.stored.routes()],
            middleware=OPEN,
            exception_handlers=handlers(),
        )
        app.state.kept = kept
        yield app


@asynccontextmanager
async def served(
    *deployments: Deployment,
) -> AsyncGenerator[AsyncClient, None]:
    async with application(*deployments) as app, connected(app) as client:
        yield client


@asynccontextmanager
async def connected(app: Starlette) -> AsyncGenerator[AsyncClient, None]:
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
