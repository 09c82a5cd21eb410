"""Takes requests for runs past everything that only others need, and answers their errors."""

from collections.abc import Sequence

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from hayserve.access.entry import Entry, drop_bill
from hayserve.access.rules import Rule, refusal
from hayserve.deployments.reserved import RESERVED
from hayserve.errors import HayserveError
from hayserve.protocols.call import RunEndpoint
from hayserve.protocols.described import RuledRoute
from hayserve.server.error_responses import answer_error, answer_http_exception, answer_unexpected

_RUN = "/run"


class Front:
    """Finds the endpoint of a run by one look into a table.

    Everything else, and what is wrong with a request for a run, such as its method, is for the
    application behind it, which has the same endpoints among its routes.

    Args:
        app: Answers all other requests.
        routes: All routes; those to a `RunEndpoint` are taken here.
        entry: Lets runs begin.
    """

    def __init__(self, app: ASGIApp, routes: Sequence[object], entry: Entry) -> None:
        self._app = app
        self._entry = entry
        endpoints = {
            route.path: route.endpoint
            for route in routes
            if isinstance(route, RuledRoute) and isinstance(route.endpoint, RunEndpoint)
        }
        self._of_deployments = endpoints.pop("/{name}/run", None)
        self._by_path = endpoints

    def starts_run(self, scope: Scope) -> bool:
        """Whether a request is one for a run, of somebody who may run something."""
        return self._endpoint(scope) is not None and refusal(scope, Rule.RUN) is None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        endpoint = self._endpoint(scope) if scope["type"] == "http" else None
        if endpoint is None:
            await self._app(scope, receive, send)
            return
        try:
            if not self._entry.open(scope):
                await self._entry.open_slowly(scope)
            try:
                await endpoint(scope, receive, send)
            finally:
                drop_bill(scope)
        except ClientDisconnect:
            return
        except (HayserveError, HTTPException) as error:
            if _has_begun(scope):
                raise  # nothing can be added to an answer that is under way
            await _answer(error, scope, receive, send=send)
        except Exception as error:
            if not _has_begun(scope):
                await _answer(error, scope, receive, send=send)
            raise  # for the log of the web server

    def _endpoint(self, scope: Scope) -> RunEndpoint | None:
        if scope["method"] != "POST":
            return None
        path: str = scope["path"]
        root_path: str = scope.get("root_path", "")
        if root_path and path.startswith(f"{root_path}/"):
            path = path.removeprefix(root_path)
        found = self._by_path.get(path)
        if found is None and path.endswith(_RUN) and path.count("/") == 2:  # noqa: PLR2004 - /{name}/run
            name = path[1 : -len(_RUN)]
            if name and "/" not in name and name not in RESERVED:  # as of /undeploy/run
                scope["path_params"] = {"name": name}
                return self._of_deployments
        return found


async def _answer(error: Exception, scope: Scope, receive: Receive, *, send: Send) -> None:
    response = await _answer_to(error, Request(scope, receive))
    await response(scope, receive, send)


async def _answer_to(error: Exception, request: Request) -> Response:
    if isinstance(error, HayserveError):
        return await answer_error(request, error)
    if isinstance(error, HTTPException):
        return await answer_http_exception(request, error)
    return await answer_unexpected(request, error)


def _has_begun(scope: Scope) -> bool:
    return bool(scope["state"].get("answer_has_begun"))
