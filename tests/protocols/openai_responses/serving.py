"""Servers with nothing but the Responses API, in process: one, or two on one database."""

import json
import tempfile
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import httpx2
from starlette.applications import Starlette
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message

from hayserve.deployments.deployment import Deployment
from hayserve.deployments.members import Members
from hayserve.deployments.pulse import Pulse
from hayserve.deployments.registry import Registry
from hayserve.kept.conversations import Conversations
from hayserve.kept.files import Files
from hayserve.kept.pauses import Pauses
from hayserve.kept.responses import Responses
from hayserve.protocols.agent_request import AgentRequests
from hayserve.protocols.openai_responses.conversation_routes import ConversationRoutes
from hayserve.protocols.openai_responses.file_routes import FileRoutes
from hayserve.protocols.openai_responses.keeper import Keeper
from hayserve.protocols.openai_responses.making import Maker
from hayserve.protocols.openai_responses.routes import OpenAIResponses
from hayserve.protocols.openai_responses.shelf import Shelf
from hayserve.protocols.openai_responses.stored_routes import StoredResponses
from hayserve.protocols.openai_responses.turns import Turns
from hayserve.runs.everywhere import RunsEverywhere
from hayserve.runs.execute import Executor
from hayserve.server.error_responses import handlers
from hayserve.storage.database import Database
from hayserve.wrappers.base import BasePipelineWrapper
from hayserve.wrappers.capabilities import capabilities_of
from hayserve.wrappers.run_limits import RunLimits
from protocols.doors import OPEN, entrance

KEEP_SECONDS = 3600.0

Frame = tuple[str, dict[str, Any]]


class Worker:
    """One worker, and all that it is made of."""

    def __init__(self, url: str, wrappers: Mapping[str, BasePipelineWrapper]) -> None:
        self.database = Database(url)
        self.members = Members(self.database)
        self.pulse = Pulse(self.database)
        self.registry = _registry(wrappers)
        self.executor = Executor()
        self.everywhere = RunsEverywhere(
            self.executor, database=self.database, members=self.members, pulse=self.pulse
        )
        self.responses = Responses(self.database, keep_seconds=KEEP_SECONDS)
        self.conversations = Conversations(
            self.database, worker=self.members.id, keep_seconds=KEEP_SECONDS
        )
        self.turns = Turns(self.conversations, look=self.members.live)
        self.shelf = Shelf(Files(self.database), keep_seconds=KEEP_SECONDS)
        self.keeper = Keeper(
            self.responses,
            self.turns,
            everywhere=self.everywhere,
            worker=self.members.id,
            is_alive=lambda worker: worker in self.members.live(),
        )
        self.app = Starlette(
            routes=self._routes(),
            middleware=OPEN,
            exception_handlers=handlers(),
        )
        transport = httpx2.ASGITransport(self.app, raise_app_exceptions=False)
        self.http = httpx2.AsyncClient(transport=transport, base_url="http://server")

    def _routes(self) -> list[BaseRoute]:
        self.maker = Maker(
            self.registry,
            self.executor,
            keeper=self.keeper,
            turns=self.turns,
            shelf=self.shelf,
            agents=AgentRequests(Pauses(self.database, keep_seconds=KEEP_SECONDS)),
        )
        asking = OpenAIResponses(
            self.registry, self.executor, maker=self.maker, shelf=self.shelf, entry=entrance()
        )
        return [
            *asking.routes(),
            *asking.sockets(),
            *FileRoutes(self.shelf).routes(),
            *StoredResponses(self.keeper).routes(),
            *ConversationRoutes(self.turns).routes(),
        ]

    @asynccontextmanager
    async def running(self) -> AsyncGenerator["Worker"]:
        """Serve, in the order in which a server's parts start and stop."""
        async with AsyncExitStack() as stack:
            stack.callback(self.database.close)
            await anyio.to_thread.run_sync(self.database.open)
            await anyio.to_thread.run_sync(self.members.join)
            stack.callback(self.members.leave)
            await stack.enter_async_context(self.pulse.running())
            await stack.enter_async_context(self.keeper.running())
            await stack.enter_async_context(self.executor.running())
            await stack.enter_async_context(self.everywhere.running())
            yield await stack.enter_async_context(self._connected())

    @asynccontextmanager
    async def _connected(self) -> AsyncGenerator["Worker"]:
        async with self.http:
            yield self

    def die(self) -> None:
        """Let the others believe that this worker has died."""
        self.members.leave()

    @contextmanager
    def outage(self) -> Generator[None]:
        """While the block lasts its database does not answer."""
        self.database.close()
        try:
            yield
        finally:
            self.database.open()


class Stream:
    """A client that reads an answer as it comes."""

    def __init__(self) -> None:
        self.status = 0
        self.has_ended = False
        self._body = b""
        self._news = anyio.Event()
        self._has_left = anyio.Event()

    @property
    def frames(self) -> list[Frame]:
        """What has come so far."""
        return frames_in(self._body.decode())

    @property
    def numbers(self) -> list[int]:
        """The `sequence_number` of each."""
        return [data["sequence_number"] for _, data in self.frames]

    async def has(self, count: int) -> list[Frame]:
        """What has come, once there are so many events."""
        with anyio.fail_after(10):
            while len(self.frames) < count and not self.has_ended:
                await self._news.wait()
        return self.frames

    async def whole(self) -> list[Frame]:
        """All events."""
        with anyio.fail_after(10):
            while not self.has_ended:
                await self._news.wait()
        return self.frames

    def leave(self) -> None:
        """Close the connection."""
        self._has_left.set()

    async def ask(self, app: ASGIApp, scope: dict[str, Any], body: bytes) -> None:
        messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> Message:
            if messages:
                return messages.pop()
            await self._has_left.wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            self.status = message.get("status", self.status)
            self._body += message.get("body", b"")
            self._tell()

        try:
            await app(scope, receive, send)
        finally:
            self.has_ended = True
            self._tell()

    def _tell(self) -> None:
        self._news.set()
        self._news = anyio.Event()


@asynccontextmanager
async def streaming(
    app: ASGIApp, path: str, *, body: Mapping[str, Any] | None = None, key: str = ""
) -> AsyncGenerator[Stream]:
    """Read an answer as it comes; the client leaves at the end of the block."""
    stream = Stream()
    path, _, query = path.partition("?")
    headers = [(b"authorization", f"Bearer {key}".encode())] if key else []
    scope: dict[str, Any] = {
        "type": "http",
        "method": "GET" if body is None else "POST",
        "path": path,
        "query_string": query.encode(),
        "headers": [*headers, (b"content-type", b"application/json")],
    }
    sent = b"" if body is None else json.dumps(body).encode()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stream.ask, app, scope, sent)
        try:
            yield stream
        finally:
            stream.leave()


@asynccontextmanager
async def serving_app(**wrappers: BasePipelineWrapper) -> AsyncGenerator[Starlette]:
    """An application that serves these wrappers, each also as `{name}-alias`."""
    async with serving_worker(**wrappers) as worker:
        yield worker.app


@asynccontextmanager
async def serving(**wrappers: BasePipelineWrapper) -> AsyncGenerator[httpx2.AsyncClient]:
    """A client of such an application."""
    async with serving_worker(**wrappers) as worker:
        yield worker.http


@asynccontextmanager
async def serving_worker(**wrappers: BasePipelineWrapper) -> AsyncGenerator[Worker]:
    """Such an application, with its parts."""
    with _database() as url, _set_up(wrappers):
        async with Worker(url, wrappers).running() as worker:
            yield worker


@asynccontextmanager
async def serving_pair(
    **wrappers: BasePipelineWrapper,
) -> AsyncGenerator[tuple[Worker, Worker]]:
    """Two workers that share a database and serve the same wrappers."""
    with _database() as url, _set_up(wrappers):
        async with (
            Worker(url, wrappers).running() as one,
            Worker(url, wrappers).running() as two,
        ):
            yield one, two


def frames_in(text: str) -> list[Frame]:
    """The named events in a stream, as far as they are whole."""
    frames = [frame.split("\n") for frame in text.split("\n\n")[:-1]]
    return [
        (lines[0].removeprefix("event: "), json.loads(lines[1].removeprefix("data: ")))
        for lines in frames
        if lines[0].startswith("event: ")
    ]


def _registry(wrappers: Mapping[str, BasePipelineWrapper]) -> Registry:
    registry = Registry()
    for name, wrapper in wrappers.items():
        can = capabilities_of(wrapper, name=name)
        limits = RunLimits.of(wrapper.limits)
        registry.put(Deployment(name, wrapper, can, aliases=(f"{name}-alias",), limits=limits))
    return registry


@contextmanager
def _set_up(wrappers: Mapping[str, BasePipelineWrapper]) -> Generator[None]:
    for wrapper in wrappers.values():
        wrapper.setup()
    yield


@contextmanager
def _database() -> Generator[str]:
    with tempfile.TemporaryDirectory() as folder:
        yield f"sqlite:///{Path(folder) / 'hayserve.db'}"
