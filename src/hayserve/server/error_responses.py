"""Answers errors: the last stop of everything that was raised on the way."""

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from hayserve.errors import HayserveError, NotFound, Unauthorized, WrapperRefused
from hayserve.protocols.openai_error import error_object
from hayserve.protocols.rest.encode import error_body
from hayserve.protocols.statuses import status_of

logger = logging.getLogger("hayserve.server")

Handler = Callable[[Request, Exception], Awaitable[Response]]
_OPENAI_PATHS = ("/v1/", "/chat/completions", "/responses", "/files", "/models")


def handlers() -> dict[Any, Handler]:
    """The table for Starlette: who answers which exception."""
    return {
        HayserveError: answer_error,
        HTTPException: answer_http_exception,
        Exception: answer_unexpected,
    }


async def answer_error(request: Request, error: Exception) -> Response:
    """Answer one of our own errors in the form that the called protocol's clients read."""
    assert isinstance(error, HayserveError)
    return error_response(request, error)


async def answer_http_exception(request: Request, error: Exception) -> Response:
    """Answer what Starlette raises by itself: an unknown path, a method that is not allowed."""
    assert isinstance(error, HTTPException)
    found = _known(request, error)
    response = error_response(request, found)
    response.status_code = error.status_code
    response.headers.update(error.headers or {})
    return response


async def answer_unexpected(request: Request, _: Exception) -> Response:
    """Answer a mistake of the server itself; Starlette hands it on to the log."""
    return error_response(
        request,
        HayserveError(
            "The server made a mistake.",
            hint="Its log has the traceback under this run's id.",
        ),
    )


def error_response(request: Request, error: HayserveError) -> Response:
    """`error` as the client of this path expects it."""
    run_id = request.state.run_id
    status = status_of(error)
    headers = error.headers if isinstance(error, WrapperRefused) else {}
    if isinstance(error, Unauthorized):
        headers = {"www-authenticate": "Bearer"}
    if is_openai(request):
        body = error_object(error, run_id=run_id)
        return JSONResponse(body, status.openai, headers=headers)
    return JSONResponse(error_body(error, run_id=run_id), status.http, headers=headers)


def is_openai(request: Request) -> bool:
    """Whether the path is one that OpenAI's clients call."""
    path = request.scope["path"].removeprefix(request.scope.get("root_path", ""))
    return path.startswith(_OPENAI_PATHS) and not path.endswith("/run")


def _known(request: Request, error: HTTPException) -> HayserveError:
    if error.status_code == 404:  # noqa: PLR2004 - HTTP
        return NotFound(f"There is nothing at {request.url.path}.", hint="See /docs.")
    if error.status_code == 405:  # noqa: PLR2004 - HTTP
        return NotFound(f"{request.url.path} does not take {request.method}.", hint="See /docs.")
    return HayserveError(str(error.detail))
