"""Counts the requests of callers with a budget, and tells them what is left of it."""

from collections.abc import Awaitable
from functools import partial

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from hayserve.access.budget import NO_BUDGET
from hayserve.access.identity import Identity, identity_in
from hayserve.access.limits import Limits
from hayserve.errors import HayserveError
from hayserve.server.error_responses import answer_error
from hayserve.server.middleware import HEADERS


class Metered:
    """Counts requests, and refuses those of callers who have sent as many as they may.

    Args:
        app: The application.
        limits: Knows how many that are.
    """

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self._app = app
        self._limits = limits

    # Not async: those without a budget pay for one look.
    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] == "lifespan" or identity_in(scope).budget is NO_BUDGET:
            return self._app(scope, receive, send)
        return self._count(scope, receive, send)

    async def _count(self, scope: Scope, receive: Receive, send: Send) -> None:
        identity: Identity = identity_in(scope)
        scope["state"][HEADERS] = partial(self._limits.headers, identity)
        try:
            if not self._limits.count(identity):
                await self._limits.count_slowly(identity)
        except HayserveError as error:
            # A handshake is a request over HTTP, too, until it is accepted.
            response = await answer_error(Request({**scope, "type": "http"}), error)
            await response(scope, receive, send)
            return
        await self._app(scope, receive, send)
