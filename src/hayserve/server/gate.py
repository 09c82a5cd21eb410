"""What every request passes first: keeps pages of other origins out, and says who calls.

A page in a browser can send requests to a server on the same machine. It cannot choose its `Origin`
and, if its own name leads to this machine, nor the `Host`; so both are looked at.
"""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from hayserve.access.entry import ASK_AGAIN
from hayserve.access.identity import FOREIGN, IDENTITY
from hayserve.errors import Forbidden, HayserveError, InvalidRequest
from hayserve.server.callers import Arrived, Callers, name_in
from hayserve.server.error_responses import error_response
from hayserve.server.sockets import is_loopback

# What a web server has that can answer a handshake with more than a status.
# Source: https://asgi.readthedocs.io/en/latest/extensions.html#websocket-denial-response
DENIAL = "websocket.http.response"

_HOST, _ORIGIN, _AUTHORIZATION, _KEY = b"host", b"origin", b"authorization", b"x-api-key"
_REQUESTS = frozenset({"http", "websocket"})
_READ = frozenset({_HOST, _ORIGIN, _AUTHORIZATION, _KEY})


class Gate:
    """Says of each request who has sent it, and refuses what a page of another origin sends.

    A browser sends some requests without asking first; they would start runs on the machine of
    whoever has the page open. Programs that are not browsers send no `Origin`. Browsers let every
    page open a WebSocket to any server, and leave it to the server to look at its `Origin`.
    Source: https://www.rfc-editor.org/rfc/rfc6455#section-10.2

    Args:
        app: The application; it finds the identity in the scope's `state`.
        callers: Knows who calls.
        allows: Whether an origin's pages may call; None where all may do everything.
    """

    def __init__(
        self, app: ASGIApp, callers: Callers, allows: Callable[[str], bool] | None
    ) -> None:
        self._app = app
        self._callers = callers
        self._allows = allows

    # Not async: most requests pay for one look at their headers and no more.
    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] not in _REQUESTS:
            return self._app(scope, receive, send)
        found = [pair for pair in scope["headers"] if pair[0] in _READ]
        headers = dict(found)
        if len(headers) < len(found):
            return _turn_away(scope, receive, send, why=_ambiguous)
        host = headers.get(_HOST, b"").decode("latin-1")
        arrived = Arrived(host, scope.get("server"), scope.get("client"))
        state = scope.setdefault("state", {})
        if _ORIGIN in headers and self._allows is not None:
            origin = headers[_ORIGIN].decode("latin-1")
            if not _is_own(origin, arrived.host):
                if not self._allows(origin):
                    return _turn_away(scope, receive, send, why=_foreign_page)
                state[FOREIGN] = True
        shown = _shown(headers)
        if scope["type"] == "websocket":  # which may stay open for long
            state[ASK_AGAIN] = partial(self._callers.find_again, shown, arrived)
        identity = self._callers.find(shown, arrived)
        if identity is None:
            return self._ask(shown, arrived, lambda: self._app(scope, receive, send), state=state)
        state[IDENTITY] = identity
        return self._app(scope, receive, send)

    async def _ask(
        self,
        shown: str,
        arrived: Arrived,
        go_on: Callable[[], Awaitable[None]],
        *,
        state: dict[str, Any],
    ) -> None:
        state[IDENTITY] = await self._callers.ask(shown, arrived)
        await go_on()


def _is_own(origin: str, host: str) -> bool:
    # A page can give its own name this machine's address and is then of the same origin.
    return origin.partition("://")[2] == host and is_loopback(name_in(host))


def _foreign_page() -> HayserveError:
    return Forbidden(
        "Pages of this origin may not call this server.",
        hint="Allow the origin with HAYSERVE_CORS_ALLOW_ORIGINS.",
    )


def _ambiguous() -> HayserveError:
    # Who stands between may have looked at another one of them than the server does.
    # Source: https://www.rfc-editor.org/rfc/rfc9112#section-3.2
    return InvalidRequest("A request has one Host, and at most one Origin and one key.")


def _turn_away(
    scope: Scope, receive: Receive, send: Send, *, why: Callable[[], HayserveError]
) -> Awaitable[None]:
    if scope["type"] == "websocket" and DENIAL not in scope.get("extensions", {}):
        return WebSocketClose()(scope, receive, send)
    # A handshake is a request over HTTP, too, until it is accepted.
    request = Request({**scope, "type": "http"})
    return error_response(request, why())(scope, receive, send)


def _shown(headers: Mapping[bytes, bytes]) -> str:
    """The key or token that a request shows; empty if it shows none."""
    if _AUTHORIZATION in headers:
        scheme, _, credentials = headers[_AUTHORIZATION].decode("latin-1").partition(" ")
        if scheme.lower() == "bearer":
            return credentials.strip()
    return headers.get(_KEY, b"").decode("latin-1")
