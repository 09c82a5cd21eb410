"""What Starlette and the server's own mistakes look like to callers."""

import json
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from hayserve import errors
from hayserve.errors import HayserveError
from hayserve.server.error_responses import error_response, handlers
from hayserve.server.middleware import RunIds


def answer_to(error: Exception, path: str = "/it/run") -> Any:
    async def raising(_: Request) -> Response:
        raise error

    app = Starlette(
        routes=[Mount("/mounted", routes=[]), Route(path, raising)],
        middleware=[Middleware(RunIds)],
        exception_handlers=handlers(),
    )
    return TestClient(app, raise_server_exceptions=False).get(path)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v1/chat/completions", True),
        ("/v1", True),
        ("/chat/completions", True),
        ("/responses", True),
        ("/files", True),
        ("/files/file-1/content", True),
        ("/models/a/b", True),
        ("/files/run", False),
        ("/chat/run", False),
        ("/responses/run", False),
        ("/chat", False),
        ("/filesystem/x", False),
        ("/models-of-mine/run", False),
        ("/deploy_files", False),
        ("/", False),
    ],
)
@pytest.mark.parametrize("root_path", ["", "/api"])
def test_openais_paths_are_told_from_deployments(path: str, expected: bool, root_path: str) -> None:
    scope = {
        "type": "http",
        "path": root_path + path,
        "root_path": root_path,
        "state": {"run_id": "r"},
    }
    body = json.loads(bytes(error_response(Request(scope), errors.NotFound("No.")).body))
    assert ("error" in body) is expected


@pytest.mark.parametrize(
    ("error", "status", "headers"),
    [
        (errors.InvalidRequest("No."), 422, {}),
        (errors.TooLarge("No."), 413, {}),
        (errors.Unauthorized("No."), 401, {"www-authenticate": "Bearer"}),
        (errors.Forbidden("No."), 403, {}),
        (errors.NotFound("No."), 404, {}),
        (errors.NameTaken("No."), 409, {}),
        (errors.NotReady("No."), 503, {"retry-after": "1"}),
        (errors.Misconfigured("No."), 500, {}),
        (errors.WrapperRefused(429, "No.", {"retry-after": "9"}), 429, {"retry-after": "9"}),
    ],
)
def test_each_error_has_its_status_and_headers(
    error: HayserveError, status: int, headers: dict[str, str]
) -> None:
    answer = answer_to(error)
    assert answer.status_code == status
    assert {name: answer.headers.get(name) for name in headers} == headers
    assert answer.json() == {
        "detail": "No.",
        "hint": "",
        "code": error.code,
        "run_id": answer.headers["x-request-id"],
    }


def test_openais_clients_get_openais_error_object() -> None:
    answer = answer_to(errors.InvalidRequest("No.", param="n"), "/v1/chat/completions")
    assert answer.status_code == 400
    assert answer.json() == {
        "error": {
            "message": "No.",
            "type": "invalid_request_error",
            "param": "n",
            "code": "invalid_request",
            "run_id": answer.headers["x-request-id"],
        }
    }


def test_what_the_server_cannot_help_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    answer_to(errors.Misconfigured("The disk is full."))
    answer_to(errors.NotFound("No."))
    answer_to(errors.RunFailed("The executor has logged this one."))
    [record] = caplog.records
    assert (record.message, vars(record)["why"]) == ("request_failed", "The disk is full.")


@pytest.mark.parametrize(
    ("status", "code"),
    [(400, "invalid_request"), (413, "invalid_request"), (501, "internal_error")],
)
def test_what_starlette_raises_keeps_its_status_and_headers(status: int, code: str) -> None:
    answer = answer_to(HTTPException(status, "Not like this", {"X-Why": "because"}))
    assert (answer.status_code, answer.headers["x-why"]) == (status, "because")
    assert (answer.json()["detail"], answer.json()["code"]) == ("Not like this.", code)


def test_a_mistake_of_the_server_is_told_without_its_details(
    caplog: pytest.LogCaptureFixture,
) -> None:
    answer = answer_to(ZeroDivisionError("secret"))
    assert answer.status_code == 500
    assert answer.json() == {
        "detail": "The server made a mistake.",
        "hint": "Its log has the traceback under this run's id.",
        "code": "internal_error",
        "run_id": answer.headers["x-request-id"],
    }


@pytest.mark.parametrize("status", [204, 304])
def test_a_status_that_has_no_body_gets_none(status: int) -> None:
    answer = answer_to(errors.WrapperRefused(status, "nothing", {"x-a": "b"}))
    assert (answer.status_code, answer.content, answer.headers["x-a"]) == (status, b"", "b")
