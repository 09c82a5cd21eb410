"""A stand-in for the server: answers as the HTTP API does, and says what it was sent."""

import io
from collections.abc import AsyncIterator, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from hayserve.deployments.archive import unpack

STATUS: dict[str, Any] = {
    "status": "Up!",
    "pipelines": ["greeter"],
    "deployments": [
        {
            "name": "greeter",
            "aliases": ["hello", "hi"],
            "type": "agent",
            "state": "Loaded",
            "revision": 3,
            "own_loop": False,
            "blocked": {"count": 1, "longest_seconds": 2.0},
            "error": None,
        },
        {
            "name": "broken",
            "aliases": [],
            "type": "unknown",
            "state": "Failed",
            "error": {"message": "No module named 'numpi'.", "hint": "Is it spelled right?"},
        },
        {
            "name": "edited",
            "aliases": [],
            "type": "agent",
            "state": "Loaded",
            "own_loop": True,
            "blocked": {"count": 3, "longest_seconds": 5.25},
            "error": None,
        },
        {
            "name": "edited",
            "aliases": [],
            "type": "unknown",
            "state": "Failed",
            "error": {"message": "SyntaxError: invalid syntax", "hint": ""},
        },
    ],
    "workers": [
        {"node": "one", "pid": 11, "failed": {}},
        {"node": "two", "pid": 12, "failed": {"greeter": "ImportError: no CUDA"}},
    ],
}


async def status(request: Request) -> Response:
    return JSONResponse(STATUS | {"authorization": request.headers.get("authorization")})


async def nothing_deployed(request: Request) -> Response:
    return JSONResponse({"status": "Up!", "pipelines": [], "deployments": []})


async def deploy(request: Request) -> Response:
    body = await request.json()
    if body["name"] == "taken":
        return JSONResponse({"detail": "Pipeline 'taken' already exists"}, status_code=409)
    if body["name"] == "large":
        return PlainTextResponse("Request Entity Too Large", status_code=413)
    return JSONResponse(
        {
            "name": body["name"],
            "success": True,
            "endpoint": f"/{body['name']}/run",
            "aliases": body.get("aliases") or [],
            "received": body,
        }
    )


async def deploy_archive(request: Request) -> Response:
    name = request.path_params["name"]
    files = unpack(io.BytesIO(await request.body()), most_bytes=10_000, most_files=10)
    return JSONResponse(
        {
            "name": name,
            "success": True,
            "aliases": [each for each in request.query_params.getlist("alias") if each],
            "revision": 3,
            "workers": 4,
            "note": "Worker 5 follows.",
            "answer": ANSWERS.get(request.query_params.get("check", "")),
            "received": {
                "name": name,
                "files": {path: content.decode("latin-1") for path, content in files.items()},
                "query": request.query_params.multi_items(),
                "from": request.headers["x-hayserve-from"],
            },
        }
    )


ANSWERS = {"hello": "Hi!\nHow are you?", "mute": ""}


async def redeploy(request: Request) -> Response:
    return JSONResponse(
        {
            "name": "greeter",
            "success": True,
            "changed": False,
            "aliases": ["x", "y"],
            "revision": 3,
            "note": "Exactly this is served already.",
        }
    )


async def undeploy(request: Request) -> Response:
    name = request.path_params["name"]
    if name == "absent":
        return JSONResponse({"detail": "Pipeline 'absent' not found"}, status_code=404)
    if name == "configured":
        return JSONResponse({"success": True, "name": name, "note": "It comes back at a start."})
    return JSONResponse({"success": True, "name": name, **request.query_params})


async def run_echo(request: Request) -> Response:
    if request.headers.get("content-type") == "application/json":
        return JSONResponse({"result": await request.json()})
    form: dict[str, list[str]] = {}
    async with request.form() as fields:
        for name, value in fields.multi_items():
            form.setdefault(name, []).append(await _as_text(value))
    return JSONResponse({"result": form})


async def _as_text(value: UploadFile | str) -> str:
    if isinstance(value, str):
        return value
    return f"{value.filename}: {(await value.read()).decode()}"


async def run_text(request: Request) -> Response:
    return PlainTextResponse("all at once")


async def run_sse(request: Request) -> Response:
    return _events("data: line 1\ndata: line 2\n\ndata: end\n\n")


async def run_sse_that_fails(request: Request) -> Response:
    return _events('data: so far\n\nevent: error\ndata: {"detail": "The tool broke."}\n\n')


async def run_text_or_events(request: Request) -> Response:
    if request.headers["accept"].startswith("text/event-stream"):
        return _events('event: error\ndata: {"detail": "The tool broke."}\n\n')
    return PlainTextResponse("[error] The tool broke.")


async def run_cut_off(request: Request) -> Response:
    async def pieces() -> AsyncIterator[str]:
        yield "so far"
        raise ConnectionError("cut off by the test")

    return StreamingResponse(pieces(), media_type="text/plain")


async def chat(request: Request) -> Response:
    body = await request.json()
    said = body["messages"][0]["content"]
    if not body.get("stream") or said == "plain":
        return JSONResponse({"object": "chat.completion", "received": body})
    return _events(CHATS[said])


CHATS = {
    "hello": (
        'data: {"choices": [{"delta": {"role": "assistant", "content": "Good "}}]}\n\n'
        'data: {"event": {"type": "status"}}\n\n'
        'data: {"choices": [{"delta": {"content": "day"}}]}\n\n'
        'data: {"choices": [{"delta": {}, "finish_reason": "stop"}]}\n\n'
        "data: [DONE]\n\n"
    ),
    "without done": 'data: {"choices": [{"delta": {"content": "x"}, "finish_reason": "stop"}]}\n\n',
    "cut": 'data: {"choices": [{"delta": {"content": "half"}}]}\n\n',
    "garbled": "data: no json\n\n",
    "traced": (
        'data: {"error": {"message": "It failed. The server\'s log has the traceback under this '
        'run\'s id.", "run_id": "r45"}}\n\n'
    ),
    "fail": 'data: {"error": {"message": "The model is asleep.", "hint": "Wake it."}}\n\n',
}


def _events(body: str) -> Response:
    return Response(body, media_type="text/event-stream")


def always(response: Response) -> Callable[[Request], Response]:
    def answer(request: Request) -> Response:
        return response

    return answer


def refuse(status_code: int, body: object) -> Callable[[Request], Response]:
    return always(JSONResponse(body, status_code=status_code))


def operation(media_type: str, schema: str) -> dict[str, Any]:
    content = {media_type: {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
    return {"post": {"requestBody": {"content": content}}}


OPENAPI: dict[str, Any] = {
    "paths": {
        "/zip/run": operation("application/json", "Zip"),
        "/summary/run": operation("multipart/form-data", "Summary"),
    },
    "components": {
        "schemas": {
            "Zip": {
                "properties": {
                    "q": {"type": "string"},
                    "code": {"$ref": "#/components/schemas/Code"},
                    "top_k": {"type": "integer"},
                    "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
                }
            },
            "Code": {"enum": ["[1]", "b"], "type": "string"},
            "Summary": {
                "properties": {
                    "document": {"type": "string", "format": "binary"},
                    "words": {"type": "integer"},
                }
            },
        }
    },
}

PROBLEMS: dict[str, Any] = {
    "detail": [
        {"type": "missing", "loc": ["body", "question"], "msg": "Field required"},
        {"type": "value_error", "loc": [], "msg": "Too short"},
        "Odd",
    ],
    "hint": "See its schema.",
    "run_id": "r41",
}
FAILURE = {"detail": "'fails' raised ValueError.", "hint": "", "run_id": "r42"}
TRACED = {
    "detail": "It failed.",
    "hint": "The server's log has the traceback under this run's id.",
    "run_id": "r43",
}
LOGGED = {"detail": "It failed.", "hint": "The server's log says why.", "run_id": "r44"}

RUNS: list[dict[str, Any]] = [
    {
        "id": "0123456789ab0123456789ab",
        "deployment": "greeter",
        "revision": 3,
        "method": "run_chat_completion_async",
        "streamed": True,
        "caller": "local key",
        "stage": "tool: search_the_web",
        "age_seconds": 4530.2,
        "deadline_in_seconds": -3.1,
        "cancelled": True,
        "worker": "process 11 on one",
    },
    {
        "id": "0123456789cd0123456789cd",
        "deployment": "writer",
        "revision": None,
        "method": "run_api",
        "streamed": False,
        "caller": "192.168.100.200",
        "stage": "model",
        "age_seconds": 3.21,
        "deadline_in_seconds": 125.0,
        "cancelled": False,
        "worker": "process 12 on two",
    },
    {"id": "fedcba987654fedcba987654", "deployment": "writer", "worker": "process 12 on two"},
]


async def runs(request: Request) -> Response:
    only = request.query_params.get("deployment")
    listed = [run for run in RUNS if only in {None, run["deployment"]}]
    return JSONResponse({"runs": listed, "silent_workers": []})


async def cancel(request: Request) -> Response:
    run_id = request.path_params["id"]
    if run_id not in {run["id"] for run in RUNS}:
        return JSONResponse({"detail": "It has ended.", "hint": "Look."}, status_code=404)
    return JSONResponse({"id": run_id, "cancelled": True, "worker": "process 12 on two"})


SILENT = {"runs": RUNS[:1], "silent_workers": ["process 13 on three"]}

DIFF = "--- a\n+++ b\n@@ -1,2 +1,2 @@\n same\x0c\n-old\n+new\n"

API = Starlette(
    routes=[
        Route("/status", status),
        Route("/empty/status", nothing_deployed),
        Route("/list/status", always(JSONResponse([]))),
        Route("/text/status", always(PlainTextResponse("hello"))),
        Route("/runs", runs),
        Route("/runs/{id}", cancel, methods=["DELETE"]),
        Route("/silent/runs", always(JSONResponse(SILENT))),
        Route("/openapi.json", always(JSONResponse(OPENAPI))),
        Route("/deployments/{name}", deploy_archive, methods=["PUT"]),
        Route("/deployments/{name}/diff", always(PlainTextResponse(DIFF))),
        Route("/redeployed/deployments/{name}", redeploy, methods=["PUT"]),
        Route("/deploy_files", deploy, methods=["POST"]),
        Route("/deploy-yaml", deploy, methods=["POST"]),
        Route("/undeploy/{name}", undeploy, methods=["POST"]),
        Route("/v1/chat/completions", chat, methods=["POST"]),
        Route("/echo/run", run_echo, methods=["POST"]),
        Route("/zip/run", run_echo, methods=["POST"]),
        Route("/summary/run", run_echo, methods=["POST"]),
        Route("/text_or_events/run", run_text_or_events, methods=["POST"]),
        Route("/with space/run", run_echo, methods=["POST"]),
        Route("/text/run", run_text, methods=["POST"]),
        Route("/sse/run", run_sse, methods=["POST"]),
        Route("/sse_fails/run", run_sse_that_fails, methods=["POST"]),
        Route("/cut_off/run", run_cut_off, methods=["POST"]),
        Route("/refuses/run", refuse(422, PROBLEMS), methods=["POST"]),
        Route("/fails/run", refuse(500, FAILURE), methods=["POST"]),
        Route("/traced/run", refuse(500, TRACED), methods=["POST"]),
        Route("/logged/run", refuse(500, LOGGED), methods=["POST"]),
        Route("/locked/run", refuse(401, {"detail": "No key."}), methods=["POST"]),
        Route("/odd/run", refuse(500, {"detail": {"why": 1}}), methods=["POST"]),
        Route("/mute/run", always(Response(status_code=502)), methods=["POST"]),
        Route("/crashed/run", always(PlainTextResponse("Crash", 500)), methods=["POST"]),
    ]
)
