"""Answers errors: the last stop of everything that was raised on the way."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Match, Route

from hayserve.errors import (
    HayserveError,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    NotReady,
    RunFailed,
    TooBusy,
    Unauthorized,
    WrapperRefused,
)
from hayserve.protocols.openai_error import error_object, is_openai
from hayserve.protocols.rest.encode import error_body, json_of
from hayserve.protocols.statuses import status_of

logger = logging.getLogger("hayserve.server")

Handler = Callable[[Request, Exception], Awaitable[Response]]
_WITHOUT_BODY = frozenset({204, 304})


def handlers() -> dict[Any, Handler]:
    """The table for Starlette: who answers which exception."""
    return {
        HayserveError: answer_error,
        HTTPException: answer_http_exception,
        ClientDisconnect: answer_nobody,
        Exception: answer_unexpected,
    }


async def answer_error(request: Request, error: Exception) -> Response:
    """Answer one of our own errors in the form that the called protocol's clients read."""
    assert isinstance(error, HayserveError)
    is_told_already = isinstance(error, RunFailed | NotReady)
    if status_of(error).http >= 500 and not is_told_already:  # noqa: PLR2004 - HTTP
        logger.error(
            "request_failed",
            extra={"run_id": request.state.run_id, "why": str(error)},
            exc_info=error.__cause__,
        )
    return error_response(request, error)


async def answer_http_exception(request: Request, error: Exception) -> Response:
    """Answer what Starlette raises by itself: an unknown path, a method that is not allowed.

    `OPTIONS` of every path is answered here, with the methods that the path takes.
    """
    assert isinstance(error, HTTPException)
    headers = {name.lower(): value for name, value in (error.headers or {}).items()}
    if error.status_code == 405:  # noqa: PLR2004 - HTTP
        headers["allow"] = _methods_at(request)
        if request.method == "OPTIONS":
            return Response(status_code=204, headers=headers)
    response = error_response(request, _known(request, error))
    response.status_code = error.status_code
    response.headers.update(headers)
    return response


async def answer_nobody(_: Request, __: Exception) -> Response:
    """Give up a request whose client left before all of it had come; nothing goes out."""
    return Response(status_code=400)


async def answer_unexpected(request: Request, _: Exception) -> Response:
    """Answer a mistake of the server itself; Starlette hands it on to the log."""
    mistake = HayserveError(
        "The server made a mistake.", hint="Its log has the traceback under this run's id."
    )
    response = error_response(request, mistake)
    # This answer goes out without passing the middleware.
    response.headers["x-request-id"] = request.state.run_id
    return response


def error_response(request: Request, error: HayserveError) -> Response:
    """`error` as the client of this path expects it."""
    run_id = request.state.run_id
    status = status_of(error)
    if is_openai(_path_of(request), request.scope.get("method", "POST")):
        body = error_object(error, run_id=run_id)
        return _json(body, status.openai, headers=_headers_of(error))
    return _json(error_body(error, run_id=run_id), status.http, headers=_headers_of(error))


def _path_of(request: Request) -> str:
    path: str = request.scope["path"]
    return path.removeprefix(request.scope.get("root_path", ""))


def _methods_at(request: Request) -> str:
    methods: set[str] = set()
    for route in request.app.routes:
        if isinstance(route, Route) and route.matches(request.scope)[0] is not Match.NONE:
            methods |= route.methods or set()
    return ", ".join(sorted(methods))


def _headers_of(error: HayserveError) -> Mapping[str, str]:
    match error:
        case WrapperRefused(headers=headers):
            return headers
        case Unauthorized():
            return {"www-authenticate": "Bearer"}
        case NotReady():
            return {"retry-after": "1"}
        case TooBusy(retry_after=seconds):
            return {"retry-after": str(seconds)}
        case RunFailed():  # OpenAI's SDKs would run what failed twice more
            return {"x-should-retry": "false"}
        case _:
            return {}


def _json(body: object, status: int, *, headers: Mapping[str, str]) -> Response:
    if status in _WITHOUT_BODY:
        return Response(status_code=status, headers=headers)
    return Response(json_of(body), status, headers=headers, media_type="application/json")


def _known(request: Request, error: HTTPException) -> HayserveError:
    path = _path_of(request)
    if error.status_code == 404:  # noqa: PLR2004 - HTTP
        return NotFound(f"There is nothing at {path}.", hint="See /docs.")
    if error.status_code == 405:  # noqa: PLR2004 - HTTP
        return MethodNotAllowed(f"{path} does not take {request.method}.", hint="See /docs.")
    said = f"{str(error.detail).rstrip('.')}."
    return InvalidRequest(said) if error.status_code < 500 else HayserveError(said)  # noqa: PLR2004 - HTTP
