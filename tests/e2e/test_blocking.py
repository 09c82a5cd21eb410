"""A wrapper that holds the event loop up is told, and holds up nobody but itself afterwards."""

import json
import re
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest

from e2e.started import Process, running
from server.serving import put, wrapper

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

# It blocks for as long as the file is there.
BLOCKING = """
    async def run_api_async(self, file: str) -> str:
        Path(file).touch()
        while Path(file).exists():
            time.sleep(0.01)
        return threading.current_thread().name

    async def run_chat_completion_async(self, model: str, messages: list, body: dict) -> Any:
        for word in threading.current_thread().name.split():
            await asyncio.sleep(0.001)
            yield f"{word} "
"""
TOP = "import asyncio, threading, time\nfrom pathlib import Path"
SYNC = wrapper(
    """
    def run_chat_completion(self, model: str, messages: list, body: dict) -> Any:
        file = Path(messages[0]["content"])
        file.touch()
        while file.exists():
            time.sleep(0.01)
        return threads() if body.get("stream") else "done"
    """,
    top=f"{TOP}\ndef threads() -> Any:\n    yield threading.current_thread().name",
)
OTHER = wrapper(
    """
    async def run_api_async(self) -> list[str]:
        return [thread.name for thread in threading.enumerate()]
    """,
    top=TOP,
)
OWN = "hayserve loop of blocking"
LINE = 1 + wrapper(BLOCKING, top=TOP).splitlines().index("            time.sleep(0.01)")


class Server:
    """The server, and calls of it that are under way."""

    def __init__(self, process: Process, callers: ThreadPoolExecutor) -> None:
        self.process = process
        self._callers = callers
        self._file = process.folder / "held"

    def begin(self, path: str, body: Mapping[str, object]) -> Future[httpx2.Response]:
        """A call that holds its thread up; returns when it does."""
        url = f"{self.process.url}{path}"
        answer = self._callers.submit(httpx2.post, url, json=body, timeout=60, trust_env=False)
        deadline = time.monotonic() + 30
        while not self._file.exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return answer

    def block(self) -> Future[httpx2.Response]:
        return self.begin("/blocking/run", {"file": str(self._file)})

    def end(self, call: Future[httpx2.Response]) -> httpx2.Response:
        self._file.unlink()
        return call.result(timeout=60)

    def is_answering(self) -> bool:
        began = time.monotonic()
        health = self.process.http.get("/healthz", timeout=10)
        return health.status_code == 200 and time.monotonic() - began < 1

    def entry(self) -> dict[str, object]:
        [entry] = [
            one
            for one in self.process.http.get("/status").json()["deployments"]
            if one["name"] == "blocking"
        ]
        return entry

    def streamed(self) -> str:
        """What the blocking deployment streams."""
        messages = [{"role": "user", "content": "x"}]
        body = {"model": "blocking", "messages": messages, "stream": True}
        lines = self.process.http.post("/v1/chat/completions", json=body).text.split("\n\n")
        said = [json.loads(line.removeprefix("data: ")) for line in lines if "delta" in line]
        return "".join(one["choices"][0]["delta"].get("content", "") for one in said)

    def threads(self) -> list[str]:
        return self.process.run("other").json()["result"]


def serve(folder: Path, blocking: str) -> Iterator[Server]:
    sources = {"blocking": blocking, "other": OTHER, "sync": SYNC}
    for name, source in sources.items():
        put(folder / "pipelines" / name, source)
    settings = {"HAYSERVE_BLOCKING_SECONDS": "0.5"}
    with running(folder, "--port", "0", **settings) as process, ThreadPoolExecutor() as callers:
        yield Server(process, callers)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    yield from serve(tmp_path, wrapper(BLOCKING, top=TOP))


@pytest.fixture
def server_of_what_says_so(tmp_path: Path) -> Iterator[Server]:
    yield from serve(tmp_path, wrapper(f"\n    own_loop = True\n{BLOCKING}", top=TOP))


def test_a_wrapper_that_blocks_is_told_and_then_holds_up_nobody_else(server: Server) -> None:
    assert server.streamed() == "MainThread "
    first = server.block()
    told = server.process.wait_for(r"event_loop_blocked .*")
    assert "deployment=blocking run_id=" in told
    assert f"at='pipeline_wrapper.py line {LINE}'" in told
    assert f"line {LINE}, in run_api_async" in server.process.log.read_text()
    assert server.end(first).json() == {"result": "MainThread"}
    server.process.wait_for(r"moved_to_own_loop deployment=blocking")
    server.process.wait_for(r"event_loop_free deployment=blocking")
    second = server.block()
    for _ in range(5):
        assert server.is_answering()
        assert OWN in server.threads()
    assert server.end(second).json() == {"result": OWN}
    assert server.streamed() == f"{OWN} "
    entry = server.entry()
    assert (entry["own_loop"], entry["revision"]) == (True, 1)
    shown = server.process.command("status", "blocking").stdout
    assert re.search(r"'blocking' held an event loop up (once|2 times), for up to .* s", shown)
    assert server.process.command("undeploy", "blocking").returncode == 0
    server.process.wait_for(r"(?s)(?:retired deployment=blocking.*){2}")
    deadline = time.monotonic() + 30
    while OWN in server.threads():
        assert time.monotonic() < deadline


def test_a_wrapper_that_says_so_has_its_own_loop_from_the_start(
    server_of_what_says_so: Server,
) -> None:
    server = server_of_what_says_so
    assert server.streamed() == f"{OWN} "
    call = server.block()
    assert server.is_answering()
    assert server.end(call).json() == {"result": OWN}


@pytest.mark.parametrize("stream", [False, True])
def test_a_sync_wrapper_never_runs_on_the_event_loop(server: Server, *, stream: bool) -> None:
    messages = [{"role": "user", "content": str(server.process.folder / "held")}]
    body = {"model": "sync", "messages": messages, "stream": stream}
    call = server.begin("/v1/chat/completions", body)
    for _ in range(5):
        assert server.is_answering()
    answer = server.end(call)
    assert "MainThread" not in answer.text
    assert ("hayserve run" if stream else "done") in answer.text
    assert "event_loop_blocked" not in server.process.log.read_text()
