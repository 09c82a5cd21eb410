"""What happens to every request before and after the protocols."""

from collections.abc import Awaitable
from typing import Any, cast

import anyio
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from hayserve.errors import NotReady
from hayserve.protocols.sse import SENDS
from hayserve.runs.run import new_ids
from hayserve.server.error_responses import error_response

FAREWELL_SECONDS = 1.0
# What gives more headers for an answer, in a request's `state`, when the answer begins.
HEADERS = "headers_to_add"
_HEADER = b"x-request-id"
_REQUESTS = frozenset({"http", "websocket"})
_STARTS = frozenset({"http.response.start", "websocket.accept", "websocket.http.response.start"})


class RunIds:
    """Gives each request an id that the response, errors and the log all carry.

    A run that the request starts has the same id; those that are started over a WebSocket have ids
    of their own. An id that a client sends is not used: it could
    be anybody's.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._ids: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in _REQUESTS:
            await self._app(scope, receive, send)
            return
        if not self._ids:
            self._ids = new_ids()
        run_id = self._ids.pop()
        state: dict[str, Any] = scope.setdefault("state", {})
        state["run_id"] = run_id

        async def send_with_id(message: Message) -> None:
            if message["type"] in _STARTS:
                state["answer_has_begun"] = True
                headers = [pair for pair in message.get("headers", ()) if pair[0] != _HEADER]
                headers.append((_HEADER, run_id.encode()))
                if HEADERS in state:
                    headers += state[HEADERS]()
                message["headers"] = headers
            await send(message)

        state[SENDS] = (send_with_id, send)
        try:
            await self._app(scope, receive, send_with_id)
        finally:
            del state[SENDS]  # they hold each other, and all that the request held


class Forwarded:
    """Believes proxies about who has sent a request, and how.

    Args:
        app: The application.
        trusted: The addresses of the proxies that are believed.
    """

    def __init__(self, app: ASGIApp, *, trusted: list[str] | str) -> None:
        self._app = app
        self._believing = cast(ASGIApp, ProxyHeadersMiddleware(cast(Any, app), trusted))

    # Not async: requests that came without a proxy pay for a look at their headers and no more.
    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        for name, _ in scope.get("headers", ()):
            if name.startswith(b"x-forwarded-"):
                return self._believing(scope, receive, send)
        return self._app(scope, receive, send)


class RootPath:
    """Tells the application the path that a proxy puts before its own.

    It does not matter whether the proxy takes that path away again before it hands a request on.

    Args:
        app: The application.
        root_path: The path; with or without the slash at its ends.
    """

    def __init__(self, app: ASGIApp, root_path: str) -> None:
        self._app = app
        self._root_path = f"/{root_path.strip('/')}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["root_path"] = self._root_path
        await self._app(scope, receive, send)


class LastAnswers:
    """Answers requests that the server drops because it stops and has waited long enough."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in _REQUESTS:
            await self._app(scope, receive, send)
            return
        try:
            await self._app(scope, receive, send)
        except anyio.get_cancelled_exc_class():
            # The cancellation ends here: nothing but the web server is outside of this, which
            # would log a traceback. A WebSocket says by itself why it ends.
            if scope["type"] == "http" and not scope["state"].get("answer_has_begun"):
                stopping = NotReady("The server is stopping.", hint="Try again in a moment.")
                with anyio.move_on_after(FAREWELL_SECONDS, shield=True):
                    await error_response(Request(scope), stopping)(scope, receive, send)
