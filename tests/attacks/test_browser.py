"""Pages in a real browser that try to use a server on the machine of whoever has them open.

The browser is Chromium without a window; where it is not installed these tests are skipped. Each
page tries everything at once and tells what it got to a server of its own.
"""

import json
import os
import queue
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from e2e.started import Process, running
from server.serving import put, wrapper

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(120),
    pytest.mark.skipif(BROWSER is None, reason="there is no chromium: `scripts/install dev`"),
]

# Whoever runs it is found out.
IT = wrapper(
    """
    def run_api(self, word: str = "none") -> str:
        Path("has-run").touch()
        return "answer-of-it"

    def run_chat_completion(self, model: str, messages: list, body: dict) -> str:
        Path("has-run").touch()
        return "answer-of-it"
    """,
    top="from pathlib import Path",
)
SHELL = "from pathlib import Path\nPath('was-deployed').touch()\n" + IT
ORDER = {"name": "shell", "files": {"pipeline_wrapper.py": SHELL}}
EVIL = "evil.example"
NO_KEY = f"hs_{'0' * 12}_{'a' * 43}"
# What would be in an answer that somebody else than the page should have.
READABLE = re.compile(r"(cors|basic) 2\d\d|answer-of-it|pipelines|\"object\"|openapi|opened")

PAGE = """<!doctype html><meta charset="utf-8"><title>page</title>
<div id="aside"></div>
<script>
const SERVER = %(server)s, HOME = %(home)s, ORDER = %(order)s, KEY = %(key)s;
const got = {};
const chat = {model: "it", messages: [{role: "user", content: "hi"}]};
const json = {"content-type": "application/json"};
const withKey = {...json, "authorization": "Bearer " + KEY, "x-api-key": KEY};
async function attempt(name, asked) {
  try { got[name] = await asked(); } catch (error) { got[name] = "failed: " + error; }
}
async function read(path, options) {
  const answer = await fetch(SERVER + path, {cache: "no-store", ...options});
  return answer.type + " " + answer.status + " " + await answer.text();
}
function post(path, body, options) {
  return read(path, {method: "POST", body: JSON.stringify(body), headers: json, ...options});
}
function xhr(path, body) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", SERVER + path);
    request.onload = () => resolve(request.status + " " + request.responseText);
    request.onerror = () => reject("no answer");
    request.send(body);
  });
}
function form(path, name, value, enctype) {
  return new Promise((resolve) => {
    const frame = document.createElement("iframe");
    frame.name = "frame" + Math.random();
    document.getElementById("aside").append(frame);
    const sent = document.createElement("form");
    Object.assign(sent, {method: "POST", action: SERVER + path, target: frame.name, enctype});
    const field = document.createElement("input");
    Object.assign(field, {name, value});
    sent.append(field);
    document.getElementById("aside").append(sent);
    frame.onload = () => {
      let text = "";
      try { text = frame.contentDocument.body.innerText; } catch (error) { text = "no access"; }
      if (text) resolve(text);
    };
    setTimeout(() => resolve("no answer"), 3000);
    sent.submit();
  });
}
function socket(path) {
  return new Promise((resolve) => {
    const opened = new WebSocket(SERVER.replace("http", "ws") + path);
    let said = "";
    opened.onopen = () => {
      said = "opened ";
      opened.send(JSON.stringify({type: "response.create", model: "it", input: "hi"}));
    };
    opened.onmessage = (message) => { said += message.data; };
    opened.onclose = () => resolve(said + "closed");
    setTimeout(() => resolve(said + "timeout"), 3000);
  });
}
function element(kind, path) {
  return new Promise((resolve) => {
    const made = document.createElement(kind);
    made.onload = () => resolve("loaded");
    made.onerror = () => resolve("not loaded");
    made.src = SERVER + path;
    document.getElementById("aside").append(made);
  });
}
function frame(path) {
  return new Promise((resolve) => {
    const made = document.createElement("iframe");
    made.onload = () => {
      try { resolve(made.contentDocument.body.innerText); } catch (error) { resolve("no access"); }
    };
    made.src = SERVER + path;
    document.getElementById("aside").append(made);
  });
}
const plain = {headers: {"content-type": "text/plain"}};
const blind = {mode: "no-cors", headers: {"content-type": "text/plain"}};
const order = JSON.stringify(ORDER);
const half = order.slice(0, -1) + ',"x":"';
async function everything() {
  await Promise.all([
    attempt("deploy", () => post("/deploy_files", ORDER)),
    attempt("deploy as text", () => post("/deploy_files", ORDER, plain)),
    attempt("deploy blindly", () => post("/deploy_files", ORDER, blind)),
    attempt("deploy with a key", () => post("/deploy_files", ORDER, {headers: withKey})),
    attempt("deploy by XHR", () => xhr("/deploy_files", order)),
    attempt("deploy by a form", () => form("/deploy_files", half, '"}', "text/plain")),
    attempt("deploy by another form", () => form("/deploy_files", "name", "shell", "")),
    attempt("deploy an archive", () => read("/deployments/shell", {method: "PUT", body: "PK"})),
    attempt("deploy by a beacon", () => navigator.sendBeacon(SERVER + "/deploy_files", order)),
    attempt("undeploy", () => post("/undeploy/it", {})),
    attempt("undeploy blindly", () => post("/undeploy/it", {}, blind)),
    attempt("make a key", () => post("/keys", {name: "mine", scopes: ["admin"]})),
    attempt("list keys", () => read("/keys")),
    attempt("list runs", () => read("/runs")),
    attempt("stop a run", () => read("/runs/x", {method: "DELETE"})),
    attempt("run", () => post("/it/run", {})),
    attempt("run blindly", () => post("/it/run", {}, blind)),
    attempt("run by a form", () => form("/it/run", '{"word": "', '"}', "text/plain")),
    attempt("run by a form with parts", () => form("/it/run", "word", "w", "multipart/form-data")),
    attempt("run by a beacon", () => navigator.sendBeacon(SERVER + "/it/run", "{}")),
    attempt("chat", () => post("/v1/chat/completions", chat)),
    attempt("chat with a key", () => post("/v1/chat/completions", chat, {headers: withKey})),
    attempt("chat with credentials",
            () => post("/v1/chat/completions", chat, {credentials: "include"})),
    attempt("respond", () => post("/v1/responses", {model: "it", input: "hi"})),
    attempt("upload", () => read("/v1/files", {method: "POST", body: new FormData()})),
    attempt("socket", () => socket("/v1/responses")),
    attempt("status", () => read("/status")),
    attempt("status blindly", () => read("/status", {mode: "no-cors"})),
    attempt("models", () => read("/v1/models")),
    attempt("files", () => read("/v1/files")),
    attempt("description", () => read("/openapi.json")),
    attempt("files as a script", () => element("script", "/v1/files")),
    attempt("files as an image", () => element("img", "/v1/files")),
    attempt("status in a frame", () => frame("/status")),
    attempt("docs in a frame", () => frame("/docs")),
  ]);
  await new Promise((resolve) => setTimeout(resolve, 300));
  await fetch(HOME, {method: "POST", mode: "no-cors", body: JSON.stringify(got)});
}
async function begin() {
  // A page whose name is led elsewhere waits until it is.
  while (%(waits)s && (await attempt("life", () => read("/healthz")), got.life) !== ALIVE) {
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  delete got.life;
  await everything();
}
const ALIVE = 'basic 200 {"status":"ok"}';
begin();
</script>"""


class Pages:
    """A web server that has one page, whatever is asked for, and takes what the page tells it."""

    def __init__(self, port: int = 0) -> None:
        pages = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer(pages.page.encode())
                pages.was_read.set()

            def do_POST(self) -> None:
                pages.told.put(json.loads(self.rfile.read(int(self.headers["content-length"]))))
                self._answer(b"")

            def _answer(self, body: bytes) -> None:
                self.send_response(200)
                self.send_header("content-type", "text/html; charset=utf-8")
                self.send_header("content-length", str(len(body)))
                self.send_header("connection", "close")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name
                pass

        self.page = ""
        self.was_read = threading.Event()
        self.told: queue.Queue[dict[str, Any]] = queue.Queue()
        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    @property
    def port(self) -> int:
        return self._server.server_port

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def home() -> Iterator[Pages]:
    """The server of whoever has made the page."""
    opened = Pages()
    with closing(opened):
        yield opened


def page_for(server: str, home: Pages, *, key: str = NO_KEY, waits: bool = False) -> str:
    told_at = f"http://127.0.0.1:{home.port}/"
    values = {"server": server, "home": told_at, "order": ORDER, "key": key, "waits": waits}
    return PAGE % {name: json.dumps(value) for name, value in values.items()}


@contextmanager
def browsing(url: str, profile: Path) -> Generator[None]:
    """Have a page open."""
    assert BROWSER is not None
    browser = subprocess.Popen(
        [
            BROWSER,
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--no-proxy-server",
            f"--user-data-dir={profile}",
            f"--host-resolver-rules=MAP {EVIL} 127.0.0.1",
            url,
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        os.killpg(browser.pid, signal.SIGKILL)
        browser.wait()


def visit(url: str, home: Pages, profile: Path) -> dict[str, Any]:
    """What each attempt of a page got."""
    with browsing(url, profile):
        return home.told.get(timeout=60)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    put(tmp_path / "pipelines" / "it", IT)
    return tmp_path


def nothing_has_happened(server: Process) -> None:
    assert not (server.folder / "was-deployed").exists()
    assert not (server.folder / "has-run").exists()
    headers = {"authorization": f"Bearer {server.key_file.read_text()}"}
    assert server.http.get("/status").json()["pipelines"] == ["it"]
    assert server.http.get("/keys", headers=headers).json() == {"keys": []}
    assert server.http.get("/v1/files").json()["data"] == []


def nothing_was_read(got: dict[str, Any]) -> None:
    assert len(got) > 30
    assert {name: said for name, said in got.items() if READABLE.search(str(said))} == {}


@pytest.mark.parametrize("origins", [[], ["https://friend.example"]], ids=["no CORS", "CORS"])
@pytest.mark.parametrize("at", ["localhost", "127.0.0.1"])
def test_a_page_of_another_origin_does_nothing_and_reads_nothing(
    folder: Path, home: Pages, *, at: str, origins: list[str]
) -> None:
    with running(folder, "--port", "0", HAYSERVE_CORS_ALLOW_ORIGINS=json.dumps(origins)) as server:
        key = server.key_file.read_text()  # and be it that the page had found it out
        home.page = page_for(f"http://{at}:{server.port}", home, key=key)
        got = visit(f"http://{EVIL}:{home.port}/", home, folder / "profile")
        nothing_was_read(got)
        nothing_has_happened(server)


def test_a_page_of_another_server_on_this_machine_is_another_origin_too(
    folder: Path, home: Pages
) -> None:
    with running(folder, "--port", "0") as server:
        home.page = page_for(server.url, home)
        nothing_was_read(visit(f"http://localhost:{home.port}/", home, folder / "profile"))
        nothing_has_happened(server)


def test_a_page_that_may_call_runs_what_there_is_and_changes_nothing(
    folder: Path, home: Pages
) -> None:
    origin = f"http://{EVIL}:{home.port}"
    with running(folder, "--port", "0", HAYSERVE_CORS_ALLOW_ORIGINS=f'["{origin}"]') as server:
        home.page = page_for(server.url, home, key=server.key_file.read_text())
        got = visit(f"{origin}/", home, folder / "profile")
        assert got["run"] == 'cors 200 {"result":"answer-of-it"}'
        assert "answer-of-it" in got["chat"]
        assert "answer-of-it" in got["socket"]
        changing = [name for name in got if "deploy" in name or name.endswith((" key", " keys"))]
        for name in {*changing, "list runs", "stop a run"} - {"chat with a key"}:
            assert READABLE.search(str(got[name])) is None, (name, got[name])
        assert not (folder / "was-deployed").exists()
        assert server.http.get("/status").json()["pipelines"] == ["it"]


@pytest.mark.parametrize("origins", ["[]", '["*"]'], ids=["no CORS", "all may call"])
def test_a_page_whose_own_name_is_led_to_the_server_does_nothing_and_reads_nothing(
    folder: Path, home: Pages, origins: str
) -> None:
    first = Pages()
    with closing(first):
        port = first.port
        first.page = page_for(f"http://{EVIL}:{port}", home, waits=True)
        # It cannot know the key, which would open to it nothing either.
        with browsing(f"http://{EVIL}:{port}/", folder / "profile"):
            assert first.was_read.wait(timeout=30)
            first.close()
            settings = {"HAYSERVE_CORS_ALLOW_ORIGINS": origins}
            with running(folder, "--port", str(port), **settings) as server:
                got = home.told.get(timeout=60)
                nothing_was_read(got)
                assert got["status"].startswith("basic 403 ")  # the page would have seen it
                nothing_has_happened(server)
