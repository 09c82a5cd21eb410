"""A client of the Responses API over WebSocket, in process."""

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import Any

import anyio
from starlette.types import ASGIApp, Message

from hayserve.protocols.line import EXTENSION

Event = dict[str, Any]
ENDINGS = ("response.completed", "response.failed", "response.incomplete", "error")


class Line:
    """What the web server knows of the connection."""

    is_busy = False


class SocketClient:
    """A client that sends and reads when a test has it do so."""

    def __init__(self) -> None:
        self.line = Line()
        self.closed: int | None = None  # the code
        self.takes = anyio.Event()  # what is sent
        self.takes.set()
        self.count = 0  # of the messages that were sent to it
        self._sent: asyncio.Queue[Message] = asyncio.Queue()
        self._came: asyncio.Queue[Event] = asyncio.Queue()
        self._sent.put_nowait({"type": "websocket.connect"})

    def create(self, model: str, text: str | list[Any] = "Hi", /, **fields: Any) -> None:
        """Ask for a response."""
        self.send({"type": "response.create", "model": model, "input": text, **fields})

    def send(self, message: object) -> None:
        self.send_raw(json.dumps(message))

    def send_raw(self, text: str | bytes) -> None:
        kind = "text" if isinstance(text, str) else "bytes"
        self._sent.put_nowait({"type": "websocket.receive", kind: text})

    def leave(self) -> None:
        self._sent.put_nowait({"type": "websocket.disconnect", "code": 1000})

    async def event(self) -> Event:
        """The next event."""
        with anyio.fail_after(10):
            return await self._came.get()

    async def turn(self) -> list[Event]:
        """The events up to the end of a response."""
        events = [await self.event()]
        while events[-1]["type"] not in ENDINGS:
            events.append(await self.event())
        return events

    async def response(self) -> dict[str, Any]:
        """The response that they end with."""
        last = (await self.turn())[-1]
        assert "response" in last, last
        return last["response"]

    async def error(self) -> dict[str, Any]:
        """The error that comes next."""
        event = await self.event()
        assert event["type"] == "error", event
        return event["error"]

    async def serve(
        self, app: ASGIApp, path: str, headers: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        scope: dict[str, Any] = {
            "type": "websocket",
            "path": path,
            "query_string": b"",
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
            "subprotocols": [],
            "extensions": {EXTENSION: self.line},
        }
        await app(scope, self._receive, self._send)

    async def _receive(self) -> Message:
        return await self._sent.get()

    async def _send(self, message: Message) -> None:
        match message["type"]:
            case "websocket.send":
                self.count += 1
                await self.takes.wait()
                self._came.put_nowait(json.loads(message["text"]))
            case "websocket.close":
                self.closed = message["code"]
            case _:
                assert message["type"] == "websocket.accept"


@asynccontextmanager
async def on_socket(
    app: ASGIApp, path: str = "/v1/responses", *, key: str = "", **headers: str
) -> AsyncGenerator[SocketClient]:
    """A connection, until the end of the block."""
    client = SocketClient()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if key:
        named["authorization"] = f"Bearer {key}"
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(client.serve, app, path, named)
        try:
            yield client
        finally:
            client.takes.set()
            client.leave()
