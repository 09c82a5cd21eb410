"""Serves the Responses API over WebSocket: responses one after the other on one connection.

Source: https://www.openresponses.org/specification#websocket
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, cast

import anyio
import orjson
from starlette.types import Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from hayserve.access.entry import Entry, drop_bill
from hayserve.access.rules import Rule
from hayserve.errors import HayserveError, InvalidRequest, NotReady, TooBusy
from hayserve.protocols.call import Call, Reading
from hayserve.protocols.described import RuledSocket
from hayserve.protocols.json_bytes import to_json
from hayserve.protocols.json_object import MOST_LEVELS, is_deeper
from hayserve.protocols.line import EXTENSION, Line
from hayserve.protocols.openai_error import error_object
from hayserve.protocols.openai_responses.decode import decode
from hayserve.protocols.openai_responses.log import split
from hayserve.protocols.openai_responses.making import LEFT, Maker, Making, Remembered, Stream
from hayserve.protocols.statuses import status_of
from hayserve.runs.live import has_closed
from hayserve.runs.run import new_ids

CREATE = "response.create"
# How many requests wait for their turn on one connection.
MOST_WAITING = 8
FAREWELL_SECONDS = 1.0
# Source: https://www.iana.org/assignments/websocket/websocket.xhtml#close-code-number
MISTAKE, RESTART = 1011, 1012

_DATA = b"\ndata: "
_LEAVE_OUT = "Leave it out."
# What cannot be asked for here, and what to do instead.
_NOT_HERE: Mapping[str, tuple[object, str]] = {
    "background": (True, "Ask for it over HTTP."),
    "generate": (False, _LEAVE_OUT),
    "stream": (False, "Ask for it over HTTP."),
}


class ResponseSocket:
    """Serves the Responses API over WebSocket.

    Args:
        maker: Has the responses made.
        reading: How much of a request is read.
        entry: Lets runs begin.
    """

    def __init__(self, maker: Maker, *, reading: Reading, entry: Entry) -> None:
        self._maker = maker
        self._reading = reading
        self._entry = entry

    def routes(self) -> list[RuledSocket]:
        return [
            RuledSocket(path, self, allows=Rule.RUN, name="response_socket")
            for path in ("/v1/responses", "/responses")
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await WebSocket(scope, receive, send).accept()
        connection = Connection(
            self._maker, scope, receive, send=send, reading=self._reading, entry=self._entry
        )
        await connection.serve()


class _Alone:
    """A line that nobody looks at, under a web server of others."""

    is_busy = False


class Connection:
    """One connection: the requests that wait on it, and the newest response.

    Args:
        maker: Has the responses made.
        scope: That of the handshake.
        receive: The connection's.
        send: The connection's.
        reading: How much of a request is read.
        entry: Lets runs begin.
    """

    def __init__(
        self,
        maker: Maker,
        scope: Scope,
        receive: Receive,
        *,
        send: Send,
        reading: Reading,
        entry: Entry,
    ) -> None:
        self._maker = maker
        self._entry = entry
        self._scope = scope
        self._receive = receive
        self._send = send
        self._reading = reading
        self._line: Line = scope.get("extensions", {}).get(EXTENSION) or _Alone()
        self._waiting: asyncio.Queue[bytes] = asyncio.Queue(MOST_WAITING)
        self._newest: Remembered | None = None
        self._making: Making | None = None
        self._has_left = False

    async def serve(self) -> None:
        """Return when the client has left, or was told to."""
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._listen, tasks.cancel_scope)
                await self._take_turns()
                tasks.cancel_scope.cancel()
        except anyio.get_cancelled_exc_class():
            await self._take_leave()
            raise
        except Exception:
            await self._close(MISTAKE)
            raise

    async def _listen(self, turns: anyio.CancelScope) -> None:
        """Take what comes, also while a response is made; stop that when the client leaves."""
        while (message := await self._receive())["type"] != "websocket.disconnect":
            self._line.is_busy = True
            try:
                self._waiting.put_nowait(_content_of(message))
            except asyncio.QueueFull:
                many = f"More than {MOST_WAITING} requests wait on this connection."
                await self._refuse(TooBusy(many, hint="Send one after the other."))
        self._has_left = True
        making = self._making
        if making is None or making.recorder is not None or not making.live.survives:
            turns.cancel()

    async def _take_turns(self) -> None:
        while not self._has_left:
            self._line.is_busy = not self._waiting.empty()
            content = await self._waiting.get()
            await self._take_turn(content)
            if getattr(self._scope["app"].state, "is_stopping", False):
                await self._close(RESTART)
                return

    async def _take_turn(self, content: bytes) -> None:
        run_id = new_ids(1)[0]
        previous: object = None
        try:
            event = _event_in(content)
            previous = event.get("previous_response_id")
            await self._respond(event, content, run_id=run_id)
        except HayserveError as error:
            self._forget(previous)
            await self._refuse(error, run_id=run_id)

    async def _respond(self, event: Mapping[str, Any], content: bytes, *, run_id: str) -> None:
        asked = decode(to_json({**event, "stream": True}))
        scope = {**self._scope, "state": {**self._scope["state"], "run_id": run_id}}
        call = Call(scope, self._receive, self._send, reading=self._reading)
        await self._entry.open_again(scope)
        try:
            making = await self._maker.begin(call, asked, body=content, remembered=self._newest)
        finally:
            drop_bill(scope)
        self._making = making
        try:
            stream = await self._making.opened()
            try:
                await self._write(stream)
            finally:
                stream.source.cancel(LEFT)
            self._remember(self._making)
        finally:
            self._making = None

    async def _write(self, stream: Stream) -> None:
        """Send all events; more of them are taken when the client has taken these."""
        source, events, encoder = stream
        while True:
            for frame in split(b"".join(map(encoder.encode, events))):
                await self._say(frame.partition(_DATA)[2].rstrip().decode())
            if has_closed(events):
                return
            events = await source.channel.receive()

    def _remember(self, making: Making) -> None:
        """Let the next request continue this response, and no other that is not kept."""
        if not making.has_answered:
            self._forget(making.asked.previous_response_id)
            return
        newest = making.remembered()
        if newest is not None and len(to_json(newest.items)) > self._reading.body:
            newest = None  # nor could it be sent
        self._newest = newest

    def _forget(self, id_: object) -> None:
        if self._newest is not None and self._newest.id == id_:
            self._newest = None

    async def _refuse(self, error: HayserveError, *, run_id: str | None = None) -> None:
        said = {
            "type": "error",
            "status": status_of(error).openai,
            **error_object(error, run_id=run_id or self._scope["state"]["run_id"]),
        }
        await self._say(to_json(said).decode())

    async def _say(self, text: str) -> None:
        if not self._has_left:
            with suppress(OSError):  # it leaves, which is about to be heard
                await self._send({"type": "websocket.send", "text": text})

    async def _take_leave(self) -> None:
        """End a response that the server cancels because it stops: its client should know why."""
        with anyio.move_on_after(FAREWELL_SECONDS, shield=True):
            await self._refuse(NotReady("The server is stopping.", hint="Try again in a moment."))
            await self._close(RESTART)

    async def _close(self, code: int) -> None:
        with suppress(OSError):  # it has left
            await self._send({"type": "websocket.close", "code": code})


def _content_of(message: Message) -> bytes:
    text: str | None = message.get("text")
    return message["bytes"] if text is None else text.encode()


def _event_in(content: bytes) -> dict[str, Any]:
    """What is asked, without what is said only here.

    Raises:
        InvalidRequest: It is something else, or nothing that is served here.
    """
    try:
        event: object = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        hint = f"Send an object with the type {CREATE!r}."
        raise InvalidRequest(f"The message is not JSON: {error}.", hint=hint) from error
    if is_deeper(event):
        raise InvalidRequest(f"The message goes deeper than {MOST_LEVELS} levels.")
    said = cast(dict[str, Any], event if isinstance(event, dict) else {})
    if (kind := said.pop("type", None)) != CREATE:
        raise InvalidRequest(
            f"A message of the type {kind!r} means nothing here.",
            hint=f"Send an object with the type {CREATE!r}.",
            param="type",
        )
    for name, (refused, hint) in _NOT_HERE.items():
        if said.get(name) is refused:
            raise _refused(name, f"cannot be {str(refused).lower()}", hint)
    if said.pop("stream_id", None) is not None:
        raise _refused("stream_id", "is not served", "Open a connection for each stream.")
    return said


def _refused(name: str, why: str, hint: str) -> InvalidRequest:
    return InvalidRequest(f"{name!r} {why} over WebSocket.", hint=hint, param=name)
