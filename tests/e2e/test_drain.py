"""How `hayserve run` ends: what is under way gets its time, and then an end that says why."""

import fcntl
import json
import os
import pty
import re
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest

from e2e.started import Process, environment_in, running
from server.serving import put, wrapper

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(90)]

SLOW = wrapper(
    """
    async def run_api_async(self, seconds: float = 60.0) -> str:
        await asyncio.sleep(seconds)
        return "done"

    async def run_chat_completion_async(self, model: str, messages: list, body: dict) -> Any:
        async def words() -> Any:
            for number in range(1000):
                yield f"{number} "
                await asyncio.sleep(0.1)
        if body.get("stream"):
            return words()
        await asyncio.sleep(60)
        return "done"
    """,
    top="import asyncio",
)
WORDS = wrapper(
    """
    def run_api(self) -> Any:
        for number in range(1000):
            yield f"{number} "
            time.sleep(0.1)
    """,
    top="import time",
)
EVENTS = wrapper(
    """
    async def run_api_async(self) -> SSEStream:
        async def words() -> Any:
            for number in range(1000):
                yield f"{number} "
                await asyncio.sleep(0.1)
        return SSEStream(words())
    """,
    top="import asyncio",
)
HELLO = {"messages": [{"role": "user", "content": "Hello"}]}
ASKED: dict[str, tuple[str, dict[str, object]]] = {
    "plain rest": ("/slow/run", {}),
    "plain chat": ("/v1/chat/completions", {"model": "slow", **HELLO}),
    "plain response": ("/v1/responses", {"model": "slow", "input": "Hello"}),
    "chat": ("/v1/chat/completions", {"model": "slow", "stream": True, **HELLO}),
    "response": ("/v1/responses", {"model": "slow", "stream": True, "input": "Hello"}),
    "rest": ("/words/run", {}),
    "events": ("/events/run", {}),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, source in {"slow": SLOW, "words": WORDS, "events": EVENTS}.items():
        put(tmp_path / "pipelines" / name, source)
    return tmp_path


@pytest.fixture(params=[[], ["--workers", "1"]], ids=["one process", "workers"])
def impatient(folder: Path, request: pytest.FixtureRequest) -> Iterator[Process]:
    settings = {"HAYSERVE_GRACEFUL_SHUTDOWN_TIMEOUT": "1"}
    with running(folder, "--port", "0", *request.param, **settings) as server:
        yield server


def ask(server: Process, asked: str) -> tuple[int, str]:
    path, body = ASKED[asked]
    answer = httpx2.post(f"{server.url}{path}", json=body, timeout=30, trust_env=False)
    return answer.status_code, answer.text


def test_what_does_not_finish_in_time_gets_an_error_in_its_own_form(impatient: Process) -> None:
    with ThreadPoolExecutor(len(ASKED)) as threads:
        answers: dict[str, Future[tuple[int, str]]] = {
            asked: threads.submit(ask, impatient, asked) for asked in ASKED
        }
        time.sleep(1)
        impatient.process.send_signal(signal.SIGTERM)
        said = {asked: answer.result() for asked, answer in answers.items()}

    for asked in ("plain rest", "plain chat", "plain response"):
        status, text = said[asked]
        assert status == 503, said[asked]
        assert "The server is stopping." in text
        assert json.loads(text)["code" if asked == "plain rest" else "error"]
    for asked in ("chat", "response", "rest", "events"):
        status, text = said[asked]
        assert status == 200
        assert "0 " in text
        assert "The run was stopped: the server is stopping." in text, asked
    assert said["chat"][1].endswith("data: [DONE]\n\n")
    assert "event: response.failed" in said["response"][1]
    assert impatient.process.wait(10) == 0
    assert "Traceback" not in impatient.log.read_text()


def test_what_finishes_in_time_is_answered_and_nothing_new_is_taken(folder: Path) -> None:
    with (
        running(folder, "--port", "0") as server,
        ThreadPoolExecutor(1) as thread,
        httpx2.Client(base_url=server.url, trust_env=False) as late,
    ):
        assert late.get("/healthz").headers.get("connection") is None
        under_way = thread.submit(server.run, "slow", seconds=1.5)
        time.sleep(0.5)
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        answer = late.get("/healthz")  # over the connection from before
        assert (answer.status_code, answer.headers["connection"]) == (200, "close")
        with pytest.raises(httpx2.ConnectError):
            late.get("/healthz")
        assert under_way.result().json() == {"result": "done"}
        assert server.process.wait(5) == 0


@pytest.mark.parametrize("words", [[], ["--workers", "1"]])
def test_readiness_goes_first_and_requests_are_taken_a_little_longer(
    folder: Path, words: list[str]
) -> None:
    settings = {"HAYSERVE_DRAIN_DELAY": "2"}
    with running(folder, "--port", "0", *words, **settings) as server:
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        ready = httpx2.get(f"{server.url}/readyz", trust_env=False)
        assert (ready.status_code, ready.json()) == (503, {"status": "stopping"})
        assert ready.headers["connection"] == "close"
        assert server.run("slow", seconds=0).json() == {"result": "done"}
        assert server.process.wait(10) == 0
        with pytest.raises(httpx2.ConnectError):
            server.http.get("/healthz")


@pytest.mark.parametrize("words", [[], ["--workers", "1"]])
def test_a_second_signal_ends_it_at_once(folder: Path, words: list[str]) -> None:
    settings = {"HAYSERVE_DRAIN_DELAY": "60"}
    with running(folder, "--port", "0", *words, **settings) as server:
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        assert server.process.poll() is None
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(5)


def test_a_hangup_without_workers_is_only_logged(folder: Path) -> None:
    with running(folder, "--port", "0") as server:
        server.process.send_signal(signal.SIGHUP)
        server.wait_for("no_workers_to_restart")
        assert server.http.get("/readyz").status_code == 200


@pytest.mark.parametrize("words", [[], ["--workers", "1"]])
def test_a_server_ends_with_the_terminal_that_it_was_started_from(
    folder: Path, words: list[str]
) -> None:
    terminal, inner = pty.openpty()
    log = folder / "log.txt"
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "hayserve", "run", "--port", "0", *words],
            cwd=folder,
            env=environment_in(folder),
            stdin=inner,
            stderr=output,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - has no threads yet
        )
    os.close(inner)
    try:
        deadline = time.monotonic() + 60
        while not re.search("hayserve listens", log.read_text()):
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.02)
        os.close(terminal)
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait(10)
