"""Answers a request that is sent again with its Idempotency-Key from the run that it started."""

import hashlib
import re
from collections.abc import Awaitable, Callable, Iterable
from functools import partial

import anyio.to_thread
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hayserve.access.identity import owner_of
from hayserve.errors import HayserveError, InvalidRequest, RunTimedOut
from hayserve.events import RunFailed, RunFinished
from hayserve.runs.answers import Answer, Asked
from hayserve.runs.live import LiveRun
from hayserve.runs.once import Left, Once
from hayserve.server.error_responses import answer_error

HEADER = b"idempotency-key"
MOST_BYTES = 8 * 1024 * 1024
LARGE_BYTES = 1024 * 1024  # a body that takes a millisecond and more to be hashed

_KEY = re.compile(rb"[!-~]{1,255}")
_BOUNDARY = re.compile(rb'(multipart/.*);\s*boundary="?([^";\s]+)"?(.*)', re.IGNORECASE)
# What is said of a connection or a moment, and not of the answer.
_NOT_KEPT = frozenset({b"connection", b"date", b"keep-alive", b"server", b"transfer-encoding"})


class Idempotent:
    """Runs what was sent with an `Idempotency-Key` once, and answers it again from what is kept.

    The application notes in the scope's `state` the `run` that it has started. The answer of a run
    that finished or failed is kept, and so is that of one that goes on in the background. After any
    other end, and without a run, a request with the same key is run anew. So is it where the client
    left before it had the whole answer.

    Args:
        app: The application.
        once: Knows what was asked before.
        starts_run: Whether a request is one that starts runs; others may have the header in vain.
        read: Reads the body of a request, as far as it is allowed to go.
        most_bytes: How large an answer may be to be kept, in bytes. Who asks again for a larger one
            gets an error.
    """

    def __init__(
        self,
        app: ASGIApp,
        once: Once,
        *,
        starts_run: Callable[[Scope], bool],
        read: Callable[[Scope, Receive], Awaitable[bytes]],
        most_bytes: int = MOST_BYTES,
    ) -> None:
        self._app = app
        self._once = once
        self._starts_run = starts_run
        self._read = read
        self._most_bytes = most_bytes

    # Not async: requests without the header pay for a look at their headers and no more.
    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] == "http":
            for name, _ in scope["headers"]:
                if name == HEADER and self._starts_run(scope):
                    return self._answer(scope, receive, send)
        return self._app(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            body = await self._read(scope, receive)
            if len(body) < LARGE_BYTES:
                asked = _asked(scope, body)
            else:
                asked = await anyio.to_thread.run_sync(_asked, scope, body)
            answer = await self._once.ask(asked, has_left=partial(_has_left, receive))
        except (Left, ClientDisconnect):
            return
        except HayserveError as error:
            response = await answer_error(Request(scope), error)
            await response(scope, receive, send)
            return
        if answer is not None:
            await _replay(answer, send)
            return
        recorder = Recorder(send, self._most_bytes)
        try:
            await self._app(scope, _replayed(body, receive), recorder)
        finally:
            if _stands(scope) and recorder.is_complete:
                await self._once.keep(asked, recorder.answer)
            else:
                await self._once.release(asked)


class Recorder:
    """Sends an answer on, and remembers it.

    Args:
        send: Where to.
        most_bytes: How large a body is remembered.
    """

    def __init__(self, send: Send, most_bytes: int) -> None:
        self._send = send
        self._room = most_bytes
        self._chunks: list[bytes] = []
        self._start: Message = {}
        self.is_complete = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.body":
            self._add(message.get("body", b""))
            self.is_complete = not message.get("more_body", False)
        elif message["type"] == "http.response.start":
            self._start = {**message, "headers": [*message.get("headers", ())]}
        await self._send(message)

    @property
    def answer(self) -> Answer:
        """What was sent, once it is complete."""
        headers = [
            (name.decode("latin-1"), value.decode("latin-1"))
            for name, value in self._start["headers"]
            if name.lower() not in _NOT_KEPT
        ]
        body = b"".join(self._chunks) if self._room >= 0 else None
        return Answer(self._start["status"], headers, body)

    def _add(self, chunk: bytes) -> None:
        self._room -= len(chunk)
        if self._room >= 0:
            self._chunks.append(chunk)
        else:
            self._chunks = []


def _stands(scope: Scope) -> bool:
    """Whether a run was started, and nobody and no deadline has stopped it before its answer."""
    live: LiveRun | None = scope["state"].get("run")
    if live is None:
        return False
    closing = live.closing
    if closing is None:
        # A run in the background. The end of a stream that comes before the run's is a farewell.
        return live.survives and not live.run.streamed
    if isinstance(closing, RunFailed):
        return not isinstance(closing.error, RunTimedOut)
    return isinstance(closing, RunFinished)


def _replayed(body: bytes, receive: Receive) -> Receive:
    """`receive` for an application that has not read the body yet."""
    unread: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_again() -> Message:
        return unread.pop() if unread else await receive()

    return receive_again


async def _has_left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _replay(answer: Answer, send: Send) -> None:
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers]
    await send(
        {
            "type": "http.response.start",
            "status": answer.status,
            "headers": [*headers, (b"idempotent-replayed", b"true")],
        }
    )
    await send({"type": "http.response.body", "body": answer.body or b"", "more_body": False})


def _asked(scope: Scope, body: bytes) -> Asked:
    """What a request asks for, as far as that makes it the same as another.

    Raises:
        InvalidRequest: Its key cannot be one.
    """
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    keys = [value for name, value in headers if name == HEADER]
    if len(keys) > 1 or not _KEY.fullmatch(keys[0]):
        raise InvalidRequest(
            "An Idempotency-Key is one header of 1 to 255 visible ASCII characters.",
            param="Idempotency-Key",
        )
    kind, body = _without_boundary(_values(headers, b"content-type"), body)
    caller = owner_of(scope).encode()
    request = [scope["method"].encode(), scope["path"].encode(), scope["query_string"], kind, body]
    return Asked(_hash([*keys, caller]), _hash(request), run=scope["state"]["run_id"])


def _without_boundary(kind: bytes, body: bytes) -> tuple[bytes, bytes]:
    """The same for each time that a form is sent: its boundary is made up anew."""
    found = _BOUNDARY.match(kind)
    if found is None:
        return kind, body
    return found[1] + found[3], body.replace(b"--" + found[2], b"--")


def _values(headers: Iterable[tuple[bytes, bytes]], wanted: bytes) -> bytes:
    return b", ".join(value for name, value in headers if name == wanted)


def _hash(parts: Iterable[bytes]) -> str:
    """Different for different lists: each part goes with its length."""
    whole = hashlib.sha256()
    for part in parts:
        whole.update(b"%d:" % len(part))
        whole.update(part)
    return whole.hexdigest()
