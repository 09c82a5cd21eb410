"""A web server with our connections in a thread of this process, and bare sockets to talk to it."""

import json
import re
import socket
import threading
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager, suppress
from typing import Any

import uvicorn
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from hayserve.errors import HayserveError
from hayserve.protocols.body import read_body
from hayserve.server.http_options import http_options

Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class Echo:
    """Answers with a request's path, body and headers, and keeps the bodies it got to see."""

    def __init__(self, *, limit: int = 1_000_000, pause: float = 30.0) -> None:
        self._limit = limit
        self._pause = pause
        self.bodies: list[bytes] = []
        self.saw_client_leave = threading.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            body = await read_body(scope, receive, limit=self._limit, pause=self._pause)
        except HayserveError as error:
            await answer(send, {"code": error.code}, status=413)
        except ClientDisconnect:
            self.saw_client_leave.set()
        else:
            self.bodies.append(body)
            names = [name.decode("latin-1") for name, _ in scope["headers"]]
            said = {"path": scope["path"], "body": body.decode("latin-1"), "headers": names}
            await answer(send, said)


async def answer(send: Send, body: object, *, status: int = 200) -> None:
    text = json.dumps(body).encode()
    headers = [(b"content-length", str(len(text)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text})


class Answer:
    """One answer, as it came over the wire."""

    def __init__(self, status: int, head: bytes, body: bytes) -> None:
        self.status = status
        self.head = head
        self.body = body

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def is_last(self) -> bool:
        return b"connection: close" in self.head


class Client:
    """A connection that sends whatever it is told to."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.settimeout(10)
        self._came = b""

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def answer(self) -> Answer:
        """The next answer; EOFError if there is none."""
        while (end := self._came.find(b"\r\n\r\n")) < 0:
            self._read()
        head = self._came[:end]
        size = int((re.search(rb"content-length: (\d+)", head) or [b"", b"0"])[1])
        start = end + 4
        while len(self._came) < start + size:
            self._read()
        body, self._came = self._came[start : start + size], self._came[start + size :]
        return Answer(int(head.split(b" ", 2)[1]), head, body)

    def has_answer_within(self, seconds: float) -> bool:
        self.socket.settimeout(seconds)
        with suppress(TimeoutError):
            self._read()
        self.socket.settimeout(10)
        return bool(self._came)

    def ask(self, request: bytes) -> Answer:
        self.send(request)
        return self.answer()

    def is_closed(self) -> bool:
        """Wait for the end of the connection; whether nothing came before it."""
        with suppress(ConnectionResetError):
            return self._came == self.socket.recv(1) == b""
        return self._came == b""

    def _read(self) -> None:
        if not (data := self.socket.recv(65536)):
            raise EOFError(self._came)
        self._came += data


class Web:
    """The server."""

    def __init__(self, port: int, server: uvicorn.Server) -> None:
        self._port = port
        self.server = server
        self._clients: list[Client] = []

    def client(self) -> Client:
        self._clients.append(Client(self._port))
        return self._clients[-1]

    def ask(self, request: bytes) -> Answer:
        return self.client().ask(request)

    def close(self) -> None:
        for client in self._clients:
            client.socket.close()


@contextmanager
def on_the_web(
    app: Application,
    *,
    header_bytes: int = 8192,
    header_seconds: float = 30.0,
    body_seconds: float = 30.0,
    message_bytes: int = 1_000_000,
    **options: Any,
) -> Generator[Web]:
    limits = http_options(
        header_bytes=header_bytes,
        header_seconds=header_seconds,
        body_seconds=body_seconds,
        message_bytes=message_bytes,
    )
    known: dict[str, Any] = {"log_config": None, "access_log": False}
    config = uvicorn.Config(app, lifespan="off", **{**known, **limits, **options})
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        web = Web(listening.getsockname()[1], server)
        try:
            yield web
        finally:
            web.close()
            server.should_exit = True
            thread.join(10)
