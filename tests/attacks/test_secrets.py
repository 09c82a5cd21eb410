"""What is never logged or told by a real server: what callers send, keys, and passwords."""

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect

from e2e.started import Process, hayserve, running
from server.serving import put, wrapper

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

MARKER = "5ecret-words"
IT = wrapper(
    """
    def run_api(self, word: str = "") -> str:
        if "fail" in word:
            raise ValueError("it failed")
        return word

    def run_chat_completion(self, model: str, messages: list, body: dict) -> str:
        return "hello"
    """
)
FORM = wrapper(
    """
    def run_api(self, files: list[UploadFile], word: str = "") -> str:
        return word
    """,
    top="from starlette.datastructures import UploadFile",
)
# As many kinds of requests as there are doors, right ones and wrong ones.
PATHS = [
    "/it/run",
    "/form/run",
    "/v1/chat/completions",
    "/v1/responses",
    "/v1/embeddings",
    "/v1/conversations",
    "/v1/files",
    "/deploy_files",
    "/deploy-yaml",
    "/keys",
    "/nothing/run",
]
BODIES: list[Any] = [
    {
        "word": MARKER,
        "model": "it",
        "messages": [{"role": "user", "content": MARKER}],
        "input": MARKER,
        "metadata": {"note": MARKER},
    },
    {"word": [MARKER], "model": "it", "messages": MARKER, "input": 1, "name": 1},
    {"word": f"{MARKER} fail"},
    [MARKER],
    MARKER,
]


@pytest.fixture(params=["INFO", "DEBUG", "TRACE"])
def server(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Process]:
    put(tmp_path / "pipelines" / "it", IT)
    put(tmp_path / "pipelines" / "form", FORM)
    with running(tmp_path, "--port", "0", HAYSERVE_LOG_LEVEL=request.param) as server:
        yield server


def headers(**more: str) -> dict[str, str]:
    return {
        "authorization": f"Bearer {MARKER}",
        "x-api-key": MARKER,
        "cookie": f"session={MARKER}",
        "user-agent": MARKER,
        "x-hayserve-from": "here",
        **more,
    }


def ask_everything(server: Process) -> None:
    http, query = server.http, {"api_key": MARKER, "purpose": MARKER}
    for path in PATHS:
        for number, body in enumerate(BODIES):
            key = {"idempotency-key": f"{MARKER}-{number}"}
            http.post(path, json=body, params=query, headers=headers(**key))
        for kind in ("application/json", f"text/{MARKER}"):
            sent = headers(**{"content-type": kind})
            http.post(path, content=MARKER.encode() + b"\xff", headers=sent)
        files = {"files": (f"{MARKER}.txt", MARKER.encode()), "file": (MARKER, MARKER.encode())}
        http.post(path, files=files, data={"word": MARKER, "purpose": "x"}, headers=headers())
    for path in ("/v1/files", "/v1/chat/completions", "/status", "/runs"):
        http.get(path, params=query, headers=headers())
    url = f"{server.url.replace('http', 'ws')}/v1/responses?key={MARKER}"
    with connect(url, additional_headers=headers(), user_agent_header=None) as connection:
        connection.send(json.dumps({"type": "response.create", "model": "it", "input": MARKER}))
        while json.loads(connection.recv(10))["type"] != "response.completed":
            pass
        connection.send(MARKER)
        assert json.loads(connection.recv(10))["type"] == "error"


def test_what_callers_send_and_show_is_nowhere_in_the_log(server: Process) -> None:
    ask_everything(server)
    local = server.key_file.read_text()
    shown = {"authorization": f"Bearer {local}"}
    asked = {"name": "web", "scopes": ["run"]}
    first: str = server.http.post("/keys", json=asked, headers=shown).json()["key"]
    second: str = server.http.post("/keys/web/rotate", headers=shown).json()["key"]
    for key in (local, first, second):
        for way in ({"authorization": f"Bearer {key}"}, {"authorization": key}, {"x-api-key": key}):
            server.http.post("/it/run", json={"word": "fail"}, params={"key": key}, headers=way)
    assert server.command("keys", "list").returncode == 0
    told = [
        server.http.get(path, headers=shown).text
        for path in ("/status", "/openapi.json", "/runs", "/keys", "/usage", "/docs", "/readyz")
    ]
    told.append(server.command("keys", "list").stdout)
    server.stop()
    log = server.log.read_text()
    assert "run_failed" in log
    for secret in (MARKER, local, first, second):
        found = [line for line in log.splitlines() if secret in line]
        assert found == []
    for secret in (local, first, second, first.split("_", 2)[2]):
        assert not [text for text in told if secret in text]


def test_the_database_has_no_text_of_a_key(tmp_path: Path) -> None:
    made = hayserve(tmp_path, "keys", "create", "web", "--scope", "run")
    key = made.stdout.strip()
    assert made.returncode == 0
    assert key.startswith("hs_")
    secret = key.split("_", 2)[2]
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path for path in files if path.suffix == ".db" or "sqlite" in path.name]
    assert not [path for path in files if secret.encode() in path.read_bytes()]
    [database] = [path for path in files if path.read_bytes().startswith(b"SQLite format 3")]
    assert database.stat().st_mode & 0o077 == 0
    with sqlite3.connect(database) as connection:
        rows = connection.execute("select * from keys").fetchall()
    connection.close()
    assert "web" in str(rows)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"HAYSERVE_DATABASE_URL": f"postgresql://me:{MARKER}@127.0.0.1:1/x"}, ["run"]),
        ({"HAYSERVE_DATABASE_URL": f"postgresql://me:{MARKER}@127.0.0.1:1/x"}, ["keys", "list"]),
        ({"HAYSERVE_DATABASE_URL": f"mysql://me:{MARKER}@host/x"}, ["run"]),
        ({"HAYSERVE_DATABASE_URL": f"nonsense {MARKER}"}, ["run"]),
        ({"HAYSERVE_KEY": MARKER}, ["keys", "list", "--url", "http://127.0.0.1:1"]),
        ({"HAYSERVE_KEY": MARKER, "HAYSERVE_PORT": "x"}, ["run"]),
    ],
)
def test_a_server_that_does_not_start_says_why_without_the_password(
    tmp_path: Path, settings: dict[str, str], words: list[str]
) -> None:
    for level in ("INFO", "DEBUG"):
        known = {"HAYSERVE_PORT": "0", "HAYSERVE_LOG_LEVEL": level, **settings}
        ended = hayserve(tmp_path, *words, **known)
        assert ended.returncode != 0
        assert ended.stderr
        assert MARKER not in ended.stdout + ended.stderr


def test_what_is_set_is_told_to_nobody(tmp_path: Path) -> None:
    put(tmp_path / "pipelines" / "it", IT)
    settings = {
        "HAYSERVE_KEY": MARKER,
        "HAYSERVE_OIDC_ISSUER": "https://127.0.0.1:1/issuer",
        "HAYSERVE_OIDC_AUDIENCE": "us",
        "HAYSERVE_LOG_LEVEL": "DEBUG",
    }
    token = ".".join(["eyJhbGciOiJSUzI1NiJ9", "eyJpc3MiOiJ4In0", MARKER])
    with running(tmp_path, "--port", "0", **settings) as server:
        for path in ("/status", "/openapi.json", "/readyz", "/docs", "/runs", "/nothing"):
            for shown in (token, MARKER):
                sent = {"authorization": f"Bearer {shown}"}
                assert MARKER not in server.http.get(path, headers=sent).text
        server.stop()
        assert MARKER not in server.log.read_text()
