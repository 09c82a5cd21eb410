"""Decides who may deploy: until there are keys, whoever can read the server's local key file.

A page in a browser must not deploy to a server on the same machine. It can send requests there,
so the key is asked for, and `Host` and `Origin` are checked, which a page cannot choose.
"""

import hmac
import re
from collections.abc import Awaitable, Callable

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from hayserve.errors import Forbidden, Unauthorized
from hayserve.server.error_responses import error_response
from hayserve.server.sockets import is_loopback

# What a web server has that can answer a handshake with more than a status.
# Source: https://asgi.readthedocs.io/en/latest/extensions.html#websocket-denial-response
DENIAL = "websocket.http.response"

_HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[\w.-]+)(?::\d+)?", re.ASCII)
Endpoint = Callable[[Request], Awaitable[Response]]


class ForeignPages:
    """Refuses what a page of another origin sends, except where CORS allows that origin.

    A browser sends some requests without asking first; they would start runs on the machine of
    whoever has the page open. Programs that are not browsers send no `Origin`. Browsers let every
    page open a WebSocket to any server, and leave it to the server to look at its `Origin`.
    Source: https://www.rfc-editor.org/rfc/rfc6455#section-10.2

    Args:
        app: The application.
        allows: Whether an origin's pages may call.
    """

    def __init__(self, app: ASGIApp, allows: Callable[[str], bool]) -> None:
        self._app = app
        self._allows = allows

    # Not async: requests that may pass pay for a look at their headers and no more.
    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] not in ("http", "websocket") or not self._is_foreign(scope):
            return self._app(scope, receive, send)
        if scope["type"] == "websocket" and DENIAL not in scope.get("extensions", {}):
            return WebSocketClose()(scope, receive, send)
        refused = Forbidden(
            "Pages of this origin may not call this server.",
            hint="Allow the origin with HAYSERVE_CORS_ALLOW_ORIGINS.",
        )
        # A handshake is a request over HTTP, too, until it is accepted.
        request = Request({**scope, "type": "http"})
        return error_response(request, refused)(scope, receive, send)

    def _is_foreign(self, scope: Scope) -> bool:
        for name, _ in scope["headers"]:
            if name == b"origin":
                return self._is_refused(Headers(scope=scope))
        return False

    def _is_refused(self, headers: Headers) -> bool:
        origin, host = headers["origin"], headers.get("host", "")
        # A page can give its own name this machine's address and is then of the same origin.
        is_own = origin.partition("://")[2] == host and is_loopback(_name_in(host))
        return not is_own and not self._allows(origin)


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
            request.state.key_name = "local key"
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
    """The name without the port: `localhost`, `127.0.0.1` or `[::1]`; empty if it is none."""
    found = _HOST.fullmatch(host)
    return found[1] if found else ""


def _shown_key(request: Request) -> str:
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return credentials.strip()
    return request.headers.get("x-api-key", "")
