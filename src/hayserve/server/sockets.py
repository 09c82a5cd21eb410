"""Takes the address that the server listens on, before anything else is done."""

import errno
import ipaddress
import os
import socket
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from hayserve.errors import Misconfigured

Address = tuple[Any, ...]
_BACKLOG = 2048


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`."""
    name = host.removeprefix("[").removesuffix("]")
    if name.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def listen(host: str, port: int) -> list[socket.socket]:
    """Listen on every address of `host`: localhost is two, in IPv4 and in IPv6.

    Args:
        host: A name or an IP address.
        port: The port; 0 takes one that is free.

    Returns:
        The sockets, all with the same port.

    Raises:
        Misconfigured: The address cannot be listened on; often another server does.
    """
    sockets: list[socket.socket] = []
    try:
        for family, address in _addresses_of(host, port):
            taken = sockets[0].getsockname()[1] if sockets else port
            if (opened := _listen(family, (address[0], taken, *address[2:]))) is not None:
                sockets.append(opened)
        if not sockets:
            raise OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))
    except OSError as error:
        for opened in sockets:
            opened.close()
        raise _refusal(host, port, error) from error
    return sockets


@contextmanager
def listening(host: str, port: int) -> Generator[list[socket.socket]]:
    """`listen`, for as long as the block lasts."""
    with ExitStack() as opened:
        yield [opened.enter_context(one) for one in listen(host, port)]


def port_of(sockets: list[socket.socket]) -> int:
    """The port that `listen` took."""
    return int(sockets[0].getsockname()[1])


def _addresses_of(host: str, port: int) -> Sequence[tuple[int, Address]]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return list(dict.fromkeys((family, address) for family, _, _, _, address in found))


def _listen(family: int, address: Address) -> socket.socket | None:
    """None where this machine has no such address, as without IPv6."""
    try:
        opened = socket.socket(family, socket.SOCK_STREAM)
    except OSError:
        return None
    try:
        # On Windows it would let two servers have one port.
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, os.name == "posix")
        if family == socket.AF_INET6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        opened.bind(address)
        opened.listen(_BACKLOG)
    except OSError as error:
        opened.close()
        if error.errno == errno.EADDRNOTAVAIL:
            return None
        raise
    return opened


def _refusal(host: str, port: int, error: OSError) -> Misconfigured:
    if error.errno == errno.EADDRINUSE:
        return Misconfigured(
            f"Port {port} of {host!r} is taken.",
            hint="Is a server running there already? Choose another port with `--port`.",
            param="port",
        )
    return Misconfigured(
        f"{host!r} cannot be listened on at port {port}: {error.strerror}.",
        hint="Name an address of this machine, such as localhost, and a port above 1023.",
        param="host",
    )
