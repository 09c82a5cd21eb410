"""Budgets hold for all workers of a server together, exactly."""

import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest

from e2e.started import Process
from server.serving import put, wrapper

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

SLEEPING = wrapper(
    """
    async def run_api_async(self, pause: float = 0.0) -> int:
        await asyncio.sleep(pause)
        return os.getpid()
    """,
    top="import asyncio, os",
)
CLIENTS = 8


class Server(Process):
    """A server with two workers."""

    def made(self, name: str, *budget: str) -> str:
        """A new key with a budget."""
        given = [word for one in budget for word in ("--budget", one)]
        told = self.command("keys", "create", name, "--scope", "run", *given)
        assert told.returncode == 0, told.stderr
        time.sleep(1)  # by then all workers know it
        return told.stdout.strip()

    def asked(self, key: str, times: int, **body: Any) -> list[httpx2.Response]:
        """The answers to so many requests at once, over connections of their own."""

        def ask(_: int) -> httpx2.Response:
            headers = {"Authorization": f"Bearer {key}"}
            url = f"{self.url}/it/run"
            return httpx2.post(url, json=body, headers=headers, timeout=30, trust_env=False)

        with ThreadPoolExecutor(CLIENTS) as pool:
            return [*pool.map(ask, range(times))]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("budgets")
    put(folder / "pipelines" / "it", SLEEPING)
    server = Server(folder, "--workers", "2", "--port", "0")
    try:
        yield server
    finally:
        server.stop()


def statuses(answers: list[httpx2.Response]) -> Counter[int]:
    return Counter(answer.status_code for answer in answers)


def test_of_a_minutes_requests_just_so_many_are_let_in(server: Server) -> None:
    key = server.made("minute", "requests-per-minute=40")
    if (left := 60 - time.time() % 60) < 25:
        time.sleep(left)
    answers = server.asked(key, 100)
    assert statuses(answers) == {200: 40, 429: 60}
    workers = {answer.json()["result"] for answer in answers if answer.status_code == 200}
    assert len(workers) == 2, "one worker had all of them"
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert refused.headers["x-ratelimit-remaining-requests"] == "0"
    assert 1 <= int(refused.headers["retry-after"]) <= 60


def test_at_a_time_just_so_many_runs_are_under_way(server: Server) -> None:
    key = server.made("few", "concurrent-runs=3")
    assert statuses(server.asked(key, CLIENTS, pause=3)) == {200: 3, 429: CLIENTS - 3}
    assert statuses(server.asked(key, 3, pause=1)) == {200: 3}


def test_who_has_used_a_days_seconds_begins_no_more_runs(server: Server) -> None:
    key = server.made("slow", "run-seconds-per-day=1")
    assert statuses(server.asked(key, 1, pause=1.1)) == {200: 1}
    time.sleep(1)  # by then all workers know it
    answers = server.asked(key, CLIENTS)
    assert statuses(answers) == {429: CLIENTS}
    assert int(answers[0].headers["retry-after"]) <= 86400


def test_what_was_used_is_told(server: Server) -> None:
    key = server.made("told")
    server.asked(key, 5)
    deadline = time.monotonic() + 10
    headers = {"Authorization": f"Bearer {key}"}
    while True:
        answer = httpx2.get(f"{server.url}/usage", headers=headers, trust_env=False)
        used = answer.json()["usage"]
        if used and used[0]["runs"] == 5:
            break
        assert time.monotonic() < deadline, used
        time.sleep(0.1)
    assert (used[0]["caller"], used[0]["deployment"], used[0]["failed"]) == ("key told", "it", 0)
