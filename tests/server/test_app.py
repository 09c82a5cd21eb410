"""The application as a whole: every path answers every method in one form."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from haystack import Pipeline
from haystack.components.agents import Agent
from haystack.components.builders import PromptBuilder
from haystack.components.generators.chat import MockChatGenerator
from httpx2 import Response
from starlette.testclient import TestClient

from hayserve import BasePipelineWrapper, create_app
from hayserve.errors import InvalidRequest, NameTaken
from hayserve.server.app import Application
from server.serving import Server, put, serving, settings_in, wrapper


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    put(tmp_path / "pipelines" / "hello")
    with serving(tmp_path) as server:
        yield server


ROUTES = {
    "/hello/run": "POST",
    "/files/run": "DELETE, GET, HEAD, POST",
    "/status": "GET, HEAD",
    "/status/hello": "GET, HEAD",
    "/healthz": "GET, HEAD",
    "/readyz": "GET, HEAD",
    "/openapi.json": "GET, HEAD",
    "/docs": "GET, HEAD",
    "/redoc": "GET, HEAD",
    "/models": "GET, HEAD",
    "/v1/models": "GET, HEAD",
    "/deploy_files": "POST",
    "/deploy-yaml": "POST",
    "/undeploy/hello": "POST",
    "/v1/chat/completions": "GET, HEAD, POST",
    "/v1/responses": "POST",
    "/files": "GET, HEAD, POST",
}
OPENAI = ("/models", "/v1/models", "/v1/chat/completions", "/v1/responses", "/files")


@pytest.mark.parametrize(("path", "methods"), ROUTES.items())
def test_every_path_says_what_it_takes(server: Server, path: str, methods: str) -> None:
    asked = server.http.options(path)
    assert (asked.status_code, asked.headers["allow"], asked.content) == (204, methods, b"")
    refused = server.http.request("PATCH", path)
    assert (refused.status_code, refused.headers["allow"]) == (405, methods)
    body = refused.json()
    said = body["error"]["message"] if path in OPENAI else f"{body['detail']} {body['hint']}"
    assert said == f"{path} does not take PATCH. See /docs."
    if "HEAD" in methods and path != "/files/run":  # a file of that id, which is not there
        head = server.http.head(path)
        assert (head.status_code, head.content) == (200, b"")


@pytest.mark.parametrize("path", ["/", "/nope", "/hello", "/hello/run/more", "/filesystem/x"])
def test_an_unknown_path_is_a_404_in_json(server: Server, path: str) -> None:
    missing = server.http.get(path)
    assert missing.status_code == 404
    assert missing.json()["detail"] == f"There is nothing at {path}."
    assert missing.json()["run_id"] == missing.headers["x-request-id"]
    assert server.http.options(path).status_code == 404


@pytest.mark.parametrize("path", ["/v1/nope", "/files/a/b", "/responses/r/nope"])
def test_an_unknown_path_of_openais_is_in_openais_form(server: Server, path: str) -> None:
    missing = server.http.get(path)
    assert missing.status_code == 404
    assert missing.json()["error"]["message"] == f"There is nothing at {path}. See /docs."


def test_a_slash_at_the_end_leads_to_the_path_without(server: Server) -> None:
    assert server.http.get("/status/").json()["status"] == "Up!"
    assert server.http.post("/hello/run/", json={}).json() == {"result": "Hello, you!"}


def test_pages_of_other_origins_may_call_only_where_they_are_named(tmp_path: Path) -> None:
    asked = {
        "origin": "https://app.example",
        "access-control-request-method": "POST",
        "access-control-request-headers": "content-type",
    }
    put(tmp_path / "pipelines" / "hello")
    with serving(tmp_path) as server:
        assert (
            "access-control-allow-origin"
            not in server.http.options("/status", headers=asked).headers
        )
    by_name: dict[str, Any] = {"cors_allow_origins": ["https://app.example"]}
    by_pattern: dict[str, Any] = {"cors_allow_origin_regex": r"https://.*\.example"}
    for settings in (by_name, by_pattern):
        with serving(tmp_path, **settings) as server:
            preflight = server.http.options("/hello/run", headers=asked)
            assert preflight.status_code == 200
            assert preflight.headers["access-control-allow-origin"] == "https://app.example"
            other = {**asked, "origin": "https://evil.test"}
            assert server.http.options("/hello/run", headers=other).status_code == 400


def test_an_application_reads_the_environment_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    put(tmp_path / "served" / "hello")
    monkeypatch.setenv("HAYHOOKS_PIPELINES_DIR", str(tmp_path / "served"))
    monkeypatch.setenv("HAYHOOKS_STARTUP_DEPLOY_STRATEGY", "sequential")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    key_file = tmp_path / "state" / "hayserve" / "local-1416.key"
    app = create_app()
    assert not key_file.exists()
    with TestClient(app, "http://localhost") as http:
        assert key_file.read_text().startswith("hs_local_")
        assert http.get("/healthz").json() == {"status": "ok"}
    assert not key_file.exists()


def test_the_port_that_is_served_names_the_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    app = create_app(settings_in(tmp_path, key_file=None, insecure=False))
    app.state.port = 4711
    with TestClient(app, "http://localhost"):
        assert (tmp_path / "state" / "hayserve" / "local-4711.key").is_file()


class Greeter(BasePipelineWrapper):
    def setup(self, word: str = "Hello") -> None:
        self.word = word

    def run_api(self, name: str = "you") -> str:
        return f"{self.word}, {name}!"


def greeter() -> Greeter:
    return Greeter()


def made(app: Application) -> TestClient:
    return TestClient(app, "http://localhost", raise_server_exceptions=False)


def application(folder: Path) -> tuple[Application, threading.Event]:
    loaded = threading.Event()
    app = create_app(settings_in(folder), when_loaded=lambda _: loaded.set(), prove=False)
    return app, loaded


def test_a_program_gives_the_application_what_it_serves(tmp_path: Path) -> None:
    put(tmp_path / "pipelines" / "hello")
    pipeline = Pipeline()
    pipeline.add_component("prompt", PromptBuilder("Hi {{ name }}"))
    app, loaded = application(tmp_path)
    app.deploy("class", Greeter, aliases=["gpt"], parameters={"word": "Hi"}, description="Says.")
    app.deploy("instance", Greeter(), limits={"max_runs": 4})
    app.deploy("function", greeter)
    app.deploy("pipeline", pipeline)
    app.deploy("agent", Agent(chat_generator=MockChatGenerator()))
    with made(app) as http:
        assert loaded.wait(timeout=10)
        status = http.get("/status").json()
        assert status["status"] == "Up!"
        assert status["pipelines"] == [
            "hello",
            "class",
            "instance",
            "function",
            "pipeline",
            "agent",
        ]
        assert [one["limits"] for one in status["deployments"][1:3]] == [{}, {"max_runs": 4}]
        for name, word in (("gpt", "Hi"), ("instance", "Hello"), ("function", "Hello")):
            assert http.post(f"/{name}/run", json={}).json() == {"result": f"{word}, you!"}
        assert http.post("/pipeline/run", json={"name": "Ada"}).status_code == 200
        body = {"model": "agent", "messages": [{"role": "user", "content": "Hi"}]}
        assert http.post("/v1/chat/completions", json=body).status_code == 200


def test_what_a_program_gives_is_served_at_every_start_and_only_then(tmp_path: Path) -> None:
    for _ in range(2):
        app, loaded = application(tmp_path)
        app.deploy("it", Greeter)
        with made(app) as http:
            assert loaded.wait(timeout=10)
            assert http.post("/it/run", json={}).status_code == 200
            assert http.get("/deployments/it/history").json()["revisions"][0]["revision"] == 1
    app, loaded = application(tmp_path)
    with made(app) as http:
        assert loaded.wait(timeout=10)
        assert http.post("/it/run", json={}).status_code == 404
        assert http.get("/status").json()["status"] == "Up!"


def test_what_a_program_cannot_give_is_refused_at_once(tmp_path: Path) -> None:
    app, _ = application(tmp_path)
    app.deploy("it", Greeter)
    with pytest.raises(NameTaken, match="'it' was given to the application before"):
        app.deploy("it", Greeter)
    for name, aliases in (("status", []), ("a/b", []), ("ok", ["status"]), ("ok", [""])):
        with pytest.raises(InvalidRequest):
            app.deploy(name, Greeter, aliases=aliases)
    with pytest.raises(InvalidRequest, match="cannot be written as JSON"):
        app.deploy("ok", Greeter, parameters={"word": object()})
    with pytest.raises(InvalidRequest, match="There is no limit 'max'"):
        app.deploy("ok", Greeter, limits={"max": 1})


def test_what_a_program_gives_and_cannot_be_served_is_listed(tmp_path: Path) -> None:
    app, loaded = application(tmp_path)
    app.deploy("number", 7)
    app.deploy("one", Greeter, aliases=["x"])
    app.deploy("two", Greeter, aliases=["x"])
    with made(app) as http:
        assert loaded.wait(timeout=10)
        status = http.get("/status").json()
        assert status["pipelines"] == ["one"]
        failed = {one["name"] for one in status["deployments"] if one["state"] == "Failed"}
        assert failed == {"number", "two"}


def test_pages_of_named_origins_may_call_what_needs_a_key(tmp_path: Path) -> None:
    named: list[dict[str, Any]] = [
        {"cors_allow_origins": ["*"]},
        {"cors_allow_origins": ["https://app.example"]},
        {"cors_allow_origin_regex": r"https://.*\.example"},
        {},
    ]
    asked: list[int] = []
    for settings in named:
        with serving(tmp_path, insecure=False, root_path="/under", **settings) as server:
            headers = {"origin": "https://app.example"}
            asked.append(server.http.get("/under/status", headers=headers).status_code)
    assert asked == [200, 200, 200, 403]


# ---- what ends a run, in every protocol

PATIENT = wrapper(
    top="import asyncio",
    body="""
    limits = {"max_runs": 1, "max_waiting": 0}

    async def words(self) -> Any:
        yield "word"
        await asyncio.Event().wait()

    async def answer(self, stream: bool) -> Any:
        if stream:
            return self.words()
        await asyncio.Event().wait()

    async def run_api_async(self, stream: bool = False) -> Any:
        return await self.answer(stream)

    async def run_chat_completion_async(self, model: str, messages: Any, body: Any) -> Any:
        return await self.answer(body["stream"])

    async def run_response_async(self, model: str, input_items: Any, body: Any) -> Any:
        return await self.answer(body["stream"])
    """,
)
REQUESTS: dict[str, dict[str, Any]] = {
    "/it/run": {},
    "/v1/chat/completions": {"model": "it", "messages": [{"role": "user", "content": "Hi"}]},
    "/v1/responses": {"model": "it", "input": "Hi"},
}


@pytest.fixture
def patient(tmp_path: Path) -> Iterator[Server]:
    put(tmp_path / "pipelines" / "it", PATIENT)
    with serving(tmp_path) as server:
        yield server


def code_of(answer: Response) -> str:
    body = answer.json()
    return body["error"]["code"] if "error" in body else body["code"]


@pytest.mark.parametrize("path", REQUESTS)
def test_a_request_may_say_how_long_it_waits(patient: Server, path: str) -> None:
    headers = {"x-run-timeout": "0.05"}
    answer = patient.http.post(path, json=REQUESTS[path], headers=headers)
    assert (answer.status_code, code_of(answer)) == (504, "run_timed_out")
    assert answer.headers["x-should-retry"] == "false"
    assert "did not answer within 0.05 seconds" in answer.text


@pytest.mark.parametrize("path", REQUESTS)
def test_a_stream_that_takes_too_long_ends_with_that(patient: Server, path: str) -> None:
    headers, body = {"x-run-timeout": "0.2"}, {**REQUESTS[path], "stream": True}
    answer = patient.http.post(path, json=body, headers=headers)
    assert answer.status_code == 200
    assert "word" in answer.text
    assert "did not answer within 0.2 seconds" in answer.text.split("word", 1)[1]


@pytest.mark.parametrize("path", REQUESTS)
@pytest.mark.parametrize("header", ["x-run-timeout", "x-run-on-disconnect"])
def test_a_header_without_a_meaning_is_refused(patient: Server, path: str, header: str) -> None:
    answer = patient.http.post(path, json=REQUESTS[path], headers={header: "soon"})
    assert (answer.status_code, code_of(answer)) == (
        422 if path == "/it/run" else 400,
        "invalid_request",
    )
    assert f"The header {header} is 'soon'." in answer.text


@pytest.mark.parametrize("path", REQUESTS)
def test_a_run_that_somebody_stops_and_one_for_which_there_is_no_room_are_told(
    patient: Server, path: str
) -> None:
    with ThreadPoolExecutor(1) as pool:
        under_way = pool.submit(patient.http.post, path, json=REQUESTS[path])
        while not (runs := patient.http.get("/runs").json()["runs"]):
            pass
        busy = patient.http.post(path, json=REQUESTS[path])
        assert (busy.status_code, code_of(busy)) == (429, "too_busy")
        assert 1 <= int(busy.headers["retry-after"]) <= 60
        assert patient.http.get("/healthz").status_code == 200
        assert patient.http.delete(f"/runs/{runs[0]['id']}").json()["cancelled"] is True
        stopped = under_way.result(timeout=10)
    assert (stopped.status_code, code_of(stopped)) == (409, "run_stopped")
    assert stopped.headers["x-request-id"] == runs[0]["id"]
    assert patient.http.get("/runs").json()["runs"] == []


def test_a_request_with_a_key_that_is_sent_twice_runs_once(tmp_path: Path) -> None:
    counting = wrapper(
        "runs = 0\ndef run_api(self) -> int:\n    self.runs += 1\n    return self.runs"
    )
    put(tmp_path / "pipelines" / "counting", counting)
    with serving(tmp_path) as server:
        headers = {"idempotency-key": "once"}
        answers = [server.http.post("/counting/run", headers=headers) for _ in range(2)]
        assert [answer.json() for answer in answers] == [{"result": 1}] * 2
        assert answers[1].headers["idempotent-replayed"] == "true"
        assert server.http.post("/counting/run").json() == {"result": 2}


def test_a_request_with_a_key_may_be_as_large_as_one_without(tmp_path: Path) -> None:
    takes_files = wrapper(
        "def run_api(self, files: list[UploadFile]) -> int:\n    return len(files)",
        top="from starlette.datastructures import UploadFile",
    )
    put(tmp_path / "pipelines" / "it", takes_files)
    put(tmp_path / "pipelines" / "hello")
    large = b"x" * 1_500_000
    with serving(tmp_path, max_body_mb=1, max_upload_mb=2) as server:
        for number, keyed in enumerate(({}, {"idempotency-key": "once"})):
            form = server.http.post("/it/run", files={"files": ("a", large)}, headers=keyed)
            assert form.json() == {"result": 1}, number
            kind = {"content-type": "application/json", **keyed}
            body = server.http.post("/hello/run", content=large, headers=kind)
            assert body.status_code == 413
