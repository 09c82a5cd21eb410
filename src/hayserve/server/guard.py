"""Decides who may deploy: until there are keys, whoever can read the server's local key file.

A page in a browser must not deploy to a server on the same machine. It can send requests there,
so the key is asked for, and `Host` and `Origin` are checked, which a page cannot choose.
"""

import hmac
import ipaddress
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response

from hayserve.errors import Forbidden, Misconfigured, Unauthorized

Endpoint = Callable[[Request], Awaitable[Response]]


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`."""
    name = host.removeprefix("[").removesuffix("]")
    if name.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def check_address(host: str, *, insecure: bool) -> None:
    """Refuse to listen where others can reach a server without keys.

    Raises:
        Misconfigured: `host` is not loopback and `insecure` was not asked for.
    """
    if not insecure and not is_loopback(host):
        raise Misconfigured(
            f"Listening on {host!r} would let others on the network call this server, "
            "and it has no keys yet.",
            hint="Listen on localhost, or, behind a proxy that checks who calls, "
            "add `--insecure` (HAYSERVE_INSECURE=1).",
            param="host",
        )


class Guard:
    """Lets requests that change what is served pass, or not.

    Args:
        key: The key that they have to show.
    """

    def __init__(self, key: str) -> None:
        self._key = key.encode()

    def on(self, endpoint: Endpoint) -> Endpoint:
        """`endpoint`, asked only by those who may."""

        async def guarded(request: Request) -> Response:
            self.check(request)
            return await endpoint(request)

        guarded.__doc__ = endpoint.__doc__
        guarded.__name__ = getattr(endpoint, "__name__", "guarded")
        return guarded

    def check(self, request: Request) -> None:
        """Look at the host, the origin and the key, in this order.

        Raises:
            Forbidden: The request was sent to another name or by a page of another origin.
            Unauthorized: It shows no key, or not this server's.
        """
        host = request.headers.get("host", "")
        if not is_loopback(_name_in(host)):
            raise Forbidden(
                f"This was sent to the host {host!r}, and deploys are taken on this machine only.",
                hint="Call localhost.",
            )
        origin = request.headers.get("origin")
        if origin is not None and origin.partition("://")[2] != host:
            raise Forbidden(f"Pages of {origin!r} may not deploy.", hint="Use the command line.")
        if not hmac.compare_digest(_shown_key(request).encode(), self._key):
            raise Unauthorized(
                "Deploying needs this server's local key.",
                hint="`hayserve` reads it by itself for a server of the same user on the same "
                "machine; else send it as `Authorization: Bearer KEY` (or `--key`).",
            )


def _name_in(host: str) -> str:
    """The name without the port: `localhost`, `127.0.0.1`, or `[::1]`."""
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdecimal() else host


def _shown_key(request: Request) -> str:
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return credentials.strip()
    return request.headers.get("x-api-key", "")
