"""A connection that gets its bytes from memory, without a network."""

import asyncio
import logging
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, cast

from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send
from uvicorn import Config
from uvicorn.server import ServerState

from hayserve.errors import HayserveError
from hayserve.protocols.body import read_body
from hayserve.server.http_options import http_options

_HEADER_BYTES, _BODY_BYTES, _MESSAGE_BYTES, _SECONDS = 4096, 100_000, 10_000, 1000.0
_TURNS = 40
_LOGGERS = ("uvicorn.error", "hayserve.server")


def in_pieces(data: bytes) -> list[bytes]:
    """`data` as it may come; its length says in how many pieces."""
    step = 1 + len(data) // (1 + len(data) % 5)
    return [data[at : at + step] for at in range(0, len(data), step)]


def connection(loop: asyncio.AbstractEventLoop, *pieces: bytes) -> bytes:
    """What is answered to `pieces`, which come one after the other.

    Raises:
        Exception: Whatever the connection raises, or its application, or a callback of the loop.
    """
    with _hearing():
        return loop.run_until_complete(_connected(pieces))


async def _connected(pieces: Sequence[bytes]) -> bytes:
    loop = asyncio.get_running_loop()
    faults: list[BaseException] = []
    loop.set_exception_handler(lambda _, about: faults.append(about.get("exception") or KeyError()))
    config = _config()
    wire = _Wire()
    protocol: Any = cast(Any, config.http_protocol_class)(
        config=config, server_state=_state(), app_state={}, _loop=loop
    )
    wire.set_protocol(protocol)
    protocol.connection_made(wire)
    for piece in pieces:
        if wire.is_closing():
            break
        wire.protocol.data_received(piece)
        await asyncio.sleep(0)
    for _ in range(_TURNS):
        await asyncio.sleep(0)
    wire.protocol.connection_lost(None)
    while others := asyncio.all_tasks() - {asyncio.current_task()}:
        await asyncio.wait(others, timeout=_SECONDS)
    for fault in faults:
        raise fault
    return wire.written


async def _echo(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await (_refuse(send) if scope["path"] == "/refused" else _repeat(receive, send))
        return
    status = 200
    try:
        body = await read_body(scope, receive, limit=_BODY_BYTES, pause=_SECONDS)
    except HayserveError:
        status, body = 413, b""
    except ClientDisconnect:
        return
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [length]})
    await send({"type": "http.response.body", "body": body})


async def _refuse(send: Send) -> None:
    kind = "websocket.http.response"
    await send({"type": f"{kind}.start", "status": 403, "headers": []})
    await send({"type": f"{kind}.body", "body": b"", "more_body": True})
    await send({"type": f"{kind}.body", "body": b"No."})


async def _repeat(receive: Receive, send: Send) -> None:
    while (message := await receive())["type"] != "websocket.disconnect":
        if message["type"] == "websocket.connect":
            await send({"type": "websocket.accept"})
        else:
            await send({"type": "websocket.send", "text": message.get("text") or "bytes"})


class _Wire(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.protocol: Any = None
        self._is_closed = self._has_ended = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        known = {"peername": ("127.0.0.1", 4), "sockname": ("127.0.0.1", 5)}
        return known.get(name, default)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def write(self, data: Any) -> None:
        if self._has_ended:
            raise RuntimeError("Something was written after the end.")
        self.written += data

    def close(self) -> None:
        self._is_closed = True

    abort = close

    def write_eof(self) -> None:
        self._has_ended = True

    def is_closing(self) -> bool:
        return self._is_closed

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...


@cache
def _config() -> Config:
    options = http_options(
        header_bytes=_HEADER_BYTES,
        header_seconds=_SECONDS,
        body_seconds=_SECONDS,
        message_bytes=_MESSAGE_BYTES,
    )
    known: dict[str, Any] = {"log_config": None, "access_log": False, "lifespan": "off"}
    config = Config(_echo, **{**known, **options})
    config.load()
    return config


@contextmanager
def _hearing() -> Generator[None]:
    """What is logged as an error in the block is one."""
    loggers, heard = [logging.getLogger(name) for name in _LOGGERS], _Raised()
    for logger in loggers:
        logger.addHandler(heard)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeHandler(heard)


class _Raised(logging.Handler):
    """An application's exception is logged by the web server, which goes on."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.ERROR:
            context = {"exception": (record.exc_info or (None, None, None))[1]}
            asyncio.get_running_loop().call_exception_handler(context)


@cache
def _state() -> ServerState:
    return ServerState()
