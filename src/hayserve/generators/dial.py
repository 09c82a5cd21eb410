"""Opens connections: to the first address of a host that answers, encrypted if need be."""

import asyncio
import functools
import socket
import ssl
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import anyio
import httpx2

HEAD_START = 0.25
"""How long an address has before the next one is tried beside it, in seconds (RFC 8305)."""

ConnectionT = TypeVar("ConnectionT", bound=asyncio.Protocol)
AddressInfo = tuple[int, int, int, str, Any]


class Origin(NamedTuple):
    """Where a request goes: all that two requests must share to share a connection."""

    scheme: str
    host: str
    port: int


def origin_of(url: httpx2.URL) -> Origin:
    """The origin of `url`.

    Raises:
        httpx2.UnsupportedProtocol: It is neither HTTP nor HTTPS.
    """
    if url.scheme not in {"http", "https"}:
        raise httpx2.UnsupportedProtocol(f"{url.scheme!r} is neither http nor https: {url}")
    port = url.port or (443 if url.scheme == "https" else 80)
    return Origin(url.scheme, url.raw_host.decode("ascii"), port)


@functools.cache
def tls() -> ssl.SSLContext:
    """Which certificates are believed: the ones that httpx2 believes. Reading them takes time."""
    context = httpx2.create_ssl_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


async def dial(
    origin: Origin, *, protocol: Callable[[], ConnectionT], patience: float | None
) -> ConnectionT:
    """A new connection of the running event loop.

    Raises:
        httpx2.ConnectTimeout: It took more than `patience` seconds.
        httpx2.ConnectError: Nobody answers there, or with a certificate that is not believed.
    """
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(patience):
            infos = await loop.getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM)
            sock = await _first_that_answers(infos)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            secure = origin.scheme == "https"
            _, connection = await loop.create_connection(
                protocol,
                sock=sock,
                ssl=tls() if secure else None,
                server_hostname=origin.host if secure else None,
            )
    except TimeoutError as error:
        raise httpx2.ConnectTimeout(str(error)) from error
    except OSError as error:
        raise httpx2.ConnectError(str(error)) from error
    return connection


def dial_blocking(origin: Origin, *, patience: float | None) -> socket.socket:
    """A new connection of a thread.

    Raises:
        httpx2.ConnectTimeout: An address took more than `patience` seconds.
        httpx2.ConnectError: Nobody answers there, or with a certificate that is not believed.
    """
    try:
        sock = socket.create_connection((origin.host, origin.port), patience)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if origin.scheme == "https":
            return _encrypted(sock, origin.host)
    except TimeoutError as error:
        raise httpx2.ConnectTimeout(str(error)) from error
    except OSError as error:
        raise httpx2.ConnectError(str(error)) from error
    return sock


def _encrypted(sock: socket.socket, host: str) -> ssl.SSLSocket:
    try:
        return tls().wrap_socket(sock, server_hostname=host)
    except BaseException:
        sock.close()
        raise


async def _first_that_answers(infos: Sequence[AddressInfo]) -> socket.socket:
    won: list[socket.socket] = []
    failures: list[OSError] = []

    async def race(info: AddressInfo, failed: anyio.Event) -> None:
        try:
            won.append(await _connected(info))
        except OSError as error:
            failures.append(error)
            failed.set()
        else:
            racers.cancel_scope.cancel()

    try:
        async with anyio.create_task_group() as racers:
            for info in infos:
                failed = anyio.Event()
                racers.start_soon(race, info, failed)
                with anyio.move_on_after(HEAD_START):
                    await failed.wait()
        if not won:
            raise failures[0]
        return won.pop(0)
    finally:
        for unused in won:
            unused.close()


async def _connected(info: AddressInfo) -> socket.socket:
    family, kind, protocol, _, address = info
    sock = socket.socket(family, kind, protocol)
    sock.setblocking(False)  # noqa: FBT003 - the method has no name for it
    try:
        await asyncio.get_running_loop().sock_connect(sock, address)
    except BaseException:
        sock.close()
        raise
    return sock
