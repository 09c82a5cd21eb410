"""What happens to every request before and after the protocols: it gets an id."""

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hayserve.runs.run import new_id


class RunIds:
    """Gives each request an id that the response, errors and the log all carry.

    A run that the request starts has the same id. An id that a client sends is not used: it could
    be anybody's.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        run_id = new_id()
        scope.setdefault("state", {})["run_id"] = run_id

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["x-request-id"] = run_id
            await send(message)

        await self._app(scope, receive, send_with_id)
