"""A request that asks for a run: what of it every protocol needs, and the run that it starts."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import update_wrapper
from typing import Any

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from hayserve.access.entry import take_bill
from hayserve.access.identity import identity_in
from hayserve.deployments.deployment import Deployment
from hayserve.errors import InvalidRequest, TooLarge
from hayserve.protocols.body import limited, read_body
from hayserve.protocols.json_body import check_json, check_numbers
from hayserve.runs.execute import Executor
from hayserve.runs.live import LiveRun
from hayserve.runs.run import Run
from hayserve.wrappers.asked import Asked
from hayserve.wrappers.capabilities import Method

TIMEOUT = b"x-run-timeout"
ON_DISCONNECT = b"x-run-on-disconnect"
_MEGABYTE = 1_000_000


@dataclass(frozen=True, slots=True)
class Reading:
    """How much of a request is read, where its deployment does not say.

    Args:
        body: The size of a body, in bytes.
        upload: The size of a form with files, in bytes.
        pause: How long nothing of a body may come, in seconds.
    """

    body: int = 20 * _MEGABYTE
    upload: int = 200 * _MEGABYTE
    pause: float = 30.0


class Call:
    """One request for a run, as the web server gives it.

    Args:
        scope: The request's; its `state` has the `run_id`.
        receive: The request's.
        send: The request's.
        reading: How much of it is read.
    """

    __slots__ = ("_raw", "_reading", "_receive", "arrived", "run_id", "scope", "send")

    def __init__(self, scope: Scope, receive: Receive, send: Send, *, reading: Reading) -> None:
        self.scope = scope
        self.send = send
        self.run_id: str = scope["state"]["run_id"]
        self.arrived = asyncio.get_running_loop().time()
        self._receive = receive
        self._reading = reading
        self._raw: dict[bytes, bytes] = dict(scope["headers"])

    @property
    def receive(self) -> Receive:
        """For whoever listens for the client's leaving, once the body is read."""
        return self._receive

    def header(self, name: bytes) -> bytes:
        """A header by its name in lower case; empty if there is none."""
        return self._raw.get(name, b"")

    def headers(self) -> Headers:
        """All headers, for a wrapper that asks for them."""
        return Headers(raw=self.scope["headers"])

    async def json(self, *, own_mb: float | None = None, any_mb: float | None = None) -> bytes:
        """The body, which is said to be JSON.

        Args:
            own_mb: How large the deployment lets it be, in MB; None for what the server says.
            any_mb: Where it is not known yet whom it is for: how large any deployment lets it be.

        Raises:
            InvalidRequest: It is said to be something else.
            TooLarge: It is larger.
            RequestTimeout: It did not come in time.
        """
        most = _bytes(own_mb, otherwise=self._reading.body)
        if any_mb is not None:
            most = max(most, _bytes(any_mb))
        body = await read_body(self.scope, self._receive, limit=most, pause=self._reading.pause)
        if self._raw.get(b"content-type") != b"application/json":
            check_json(self.headers(), body)
        check_numbers(body)
        return body

    def check_size(self, body: bytes, deployment: Deployment) -> None:
        """Look at a body that had to be read before it was known whom it is for.

        Raises:
            TooLarge: It is larger than the deployment takes.
        """
        most = _bytes(deployment.limits.max_body_mb, otherwise=self._reading.body)
        if len(body) > most:
            raise _too_large("body", most, deployment.name, limit="max_body_mb")

    def check_upload(self, file: bytes, deployment: Deployment) -> None:
        """As `check_size`, for a file out of a form."""
        most = _bytes(deployment.limits.max_upload_mb, otherwise=self._reading.upload)
        if len(file) > most:
            raise _too_large("file", most, deployment.name, limit="max_upload_mb")

    def form(self, *, own_mb: float | None = None, any_mb: float | None = None) -> Request:
        """The request, to read a form with files from it; the arguments are those of `json`.

        Raises:
            TooLarge: It is said to be larger.
        """
        most = _bytes(own_mb, otherwise=self._reading.upload)
        if any_mb is not None:
            most = max(most, _bytes(any_mb))
        receive = limited(self.scope, self._receive, limit=most, pause=self._reading.pause)
        return Request(self.scope, receive)

    def start(
        self,
        executor: Executor,
        deployment: Deployment,
        called: tuple[Method, Mapping[str, Any]],
        *,
        streamed: bool = False,
        survives: bool = False,
        asked: Asked | None = None,
    ) -> LiveRun:
        """Start the run that was asked for.

        Args:
            executor: What runs it.
            deployment: Whose run it is.
            called: The method, and what it is called with.
            streamed: Whether the answer is read as it comes.
            survives: Whether it goes on when the client leaves; else a header may say so.
            asked: What is asked of it beside that.

        Raises:
            InvalidRequest: A header says something about it that has no meaning.
            NotReady: The server is stopping.
            TooBusy: Too many runs wait already.
        """
        method, arguments = called
        identity = identity_in(self.scope)
        if method.wants_headers:
            arguments = {**arguments, "headers": self.headers()}
        run = Run(
            self.run_id,
            deployment.name,
            method,
            arguments,
            deployment.uses,
            deployment.limits,
            deployment.number,
            self.arrived,
            _timeout_in(self._raw.get(TIMEOUT)),
            streamed,
            identity.label or self._address(),
            survives or _survives(self._raw.get(ON_DISCONNECT)),
            asked,
            identity,
            take_bill(self.scope),
        )
        live = executor.start(run)
        self.scope["state"]["run"] = live
        return live

    async def answer(self, body: bytes) -> None:
        """Send a JSON body."""
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
        ]
        await self.send({"type": "http.response.start", "status": 200, "headers": headers})
        await self.send({"type": "http.response.body", "body": body})

    def _address(self) -> str:
        client = self.scope.get("client")
        return client[0] if client else ""


class RunEndpoint:
    """A place where runs are asked for, as an ASGI application.

    Args:
        handle: Answers a call.
        reading: How much of requests is read.
    """

    def __init__(self, handle: Callable[[Call], Awaitable[None]], reading: Reading) -> None:
        update_wrapper(self, handle, assigned=("__name__", "__doc__"), updated=())
        self._handle = handle
        self._reading = reading

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        return self._handle(Call(scope, receive, send, reading=self._reading))


def _bytes(megabytes: float | None, *, otherwise: int = 0) -> int:
    return otherwise if megabytes is None else int(megabytes * _MEGABYTE)


def _too_large(what: str, most: int, deployment: str, *, limit: str) -> TooLarge:
    return TooLarge(
        f"The {what} is larger than the {most / _MEGABYTE:g} MB that {deployment!r} takes.",
        hint=f"Send less, or raise the deployment's limit `{limit}`.",
    )


def _timeout_in(value: bytes | None) -> float | None:
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise InvalidRequest(
            f"The header {TIMEOUT.decode()} is {value.decode('latin-1')!r}.",
            hint="Say how long the run may take, in seconds: 30, or 2.5.",
            param=TIMEOUT.decode(),
        )
    return seconds


def _survives(value: bytes | None) -> bool:
    if value is None or value == b"cancel":
        return False
    if value == b"continue":
        return True
    raise InvalidRequest(
        f"The header {ON_DISCONNECT.decode()} is {value.decode('latin-1')!r}.",
        hint="Say `cancel` or `continue`: what becomes of the run when the client leaves.",
        param=ON_DISCONNECT.decode(),
    )
