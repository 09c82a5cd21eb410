"""`hayserve run --workers` as processes on a port: load, death, hanging, restarts, the end."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

import httpx2
import pytest

from e2e.started import Process, environment_in, hayserve, running
from server.serving import put, wrapper

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

# All that these tests ask of a wrapper: who answers, how long it takes, and words at a pace.
WORKING = wrapper(
    """
    async def run_api_async(self, pause: float = 0.0, block: float = 0.0) -> int:
        await asyncio.sleep(pause)
        time.sleep(block)
        return os.getpid()
    """,
    top="import asyncio, os, time",
)
STREAMING = wrapper(
    """
    async def run_api_async(self, n: int = 5, pace: float = 0.1) -> Any:
        for number in range(n):
            await asyncio.sleep(pace)
            yield f"{number} "
    """,
    top="import asyncio",
)


class Workers(Process):
    """A server with workers, and what is known of them."""

    def pids(self) -> dict[int, int]:
        """The process of each worker that was started last, by its number."""
        found = re.findall(r"worker_started worker=(\d+) pid=(\d+)", self.log.read_text())
        return {int(number): int(pid) for number, pid in found}

    def said(self, event: str) -> int:
        return len(re.findall(rf" {event} ", self.log.read_text()))

    def wait_until(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + 40
        while not condition():
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.02)

    def asked(self) -> int:
        """Who answers a request over a connection of its own."""
        answer = httpx2.post(f"{self.url}/working/run", json={}, timeout=20, trust_env=False)
        assert answer.status_code == 200, answer.text
        return int(answer.json()["result"])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    put(tmp_path / "pipelines" / "working", WORKING)
    put(tmp_path / "pipelines" / "streaming", STREAMING)
    return tmp_path


@pytest.fixture
def two(folder: Path) -> Iterator[Workers]:
    server = Workers(folder, "--workers", "2", "--port", "0")
    try:
        yield server
    finally:
        server.stop()


class Load:
    """Clients that ask again and again for as long as a block lasts, each over one connection."""

    def __init__(self, url: str, *, clients: int) -> None:
        self.answered = 0
        self.failed: list[str] = []
        self._url = url
        self._is_over = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(clients)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join(30)

    def _ask(self) -> None:
        with httpx2.Client(base_url=self._url, timeout=20, trust_env=False) as http:
            while not self._is_over.wait(0.003):
                try:
                    answer = http.post("/working/run", json={"pause": 0.01})
                except httpx2.HTTPError as error:
                    self.failed.append(repr(error))
                else:
                    self.answered += 1
                    if answer.status_code != 200:
                        self.failed.append(answer.text)


class Listener:
    """Reads a stream in a thread, from its beginning to its end."""

    def __init__(self, url: str, *, n: int, pace: float) -> None:
        self.heard = ""
        self.error = ""
        self.has_begun = threading.Event()
        self._thread = threading.Thread(target=self._listen, args=[url, {"n": n, "pace": pace}])
        self._thread.start()

    def join(self) -> str:
        self._thread.join(60)
        assert not self._thread.is_alive()
        assert self.error == ""
        return self.heard

    def _listen(self, url: str, body: dict[str, float]) -> None:
        try:
            with httpx2.stream(
                "POST", f"{url}/streaming/run", json=body, timeout=20, trust_env=False
            ) as answer:
                for text in answer.iter_text():
                    self.heard += text
                    self.has_begun.set()
        except httpx2.HTTPError as error:
            self.error = repr(error)


def test_all_workers_answer_and_the_welcome_is_said_once(two: Workers) -> None:
    everyone = set(two.pids().values())
    assert len(everyone) == 2
    seen: set[int] = set()
    two.wait_until(lambda: seen.add(two.asked()) or seen == everyone)
    assert two.log.read_text().count("hayserve listens at") == 1
    assert two.http.get("/readyz").json()["status"] == "ready"
    assert two.stop(signal.SIGTERM) == 0
    assert two.said("worker_stopped") == 2
    assert not two.key_file.exists()
    assert "Traceback" not in two.log.read_text()


def test_when_a_worker_is_killed_the_other_goes_on_and_it_is_replaced(two: Workers) -> None:
    first = two.pids()[1]
    with Load(two.url, clients=4) as load:
        two.wait_until(lambda: load.answered > 50)
        os.kill(first, signal.SIGKILL)
        two.wait_until(lambda: two.said("worker_ready") == 3)
        before = load.answered
        two.wait_until(lambda: load.answered > before + 50)
    # Only what that worker had taken is lost: at most one request of each client.
    assert len(load.failed) <= 4
    assert f"worker_died worker=1 pid={first} with=SIGKILL" in two.log.read_text()
    seen: set[int] = set()
    two.wait_until(lambda: seen.add(two.asked()) or seen == set(two.pids().values()))
    assert first not in seen


def test_a_worker_whose_event_loop_is_blocked_is_dumped_and_replaced(folder: Path) -> None:
    settings = {"HAYSERVE_WORKER_TIMEOUT": "2"}
    server = Workers(folder, "--workers", "2", "--port", "0", **settings)
    try:
        with pytest.raises(httpx2.HTTPError):
            httpx2.post(
                f"{server.url}/working/run", json={"block": 60}, timeout=30, trust_env=False
            )
        server.wait_for("worker_hung")
        server.wait_until(lambda: server.said("worker_ready") == 3)
        log = server.log.read_text()
        stack = log[log.index("worker_hung") : log.index("worker_died")]
        assert re.search(r'working\S*pipeline_wrapper\.py", line \d+ in run_api_async', stack)
        assert server.said("worker_hung") == 1
        assert server.asked() in server.pids().values()
    finally:
        server.stop()


def test_a_suspended_worker_is_replaced(folder: Path) -> None:
    settings = {"HAYSERVE_WORKER_TIMEOUT": "2"}
    server = Workers(folder, "--workers", "2", "--port", "0", **settings)
    try:
        os.kill(server.pids()[2], signal.SIGSTOP)
        server.wait_until(lambda: server.said("worker_ready") == 3)
    finally:
        server.stop()


def test_a_rolling_restart_fails_no_request_and_cuts_no_stream(two: Workers) -> None:
    listeners = [Listener(two.url, n=30, pace=0.1) for _ in range(8)]
    assert all(listener.has_begun.wait(20) for listener in listeners)
    before = two.pids()
    with Load(two.url, clients=6) as load:
        two.wait_until(lambda: load.answered > 50)
        two.process.send_signal(signal.SIGHUP)
        two.wait_until(lambda: two.said("rolling_restart_done") == 1)
        two.process.send_signal(signal.SIGHUP)
        two.wait_until(lambda: two.said("rolling_restart_done") == 2)
        answered = load.answered
        two.wait_until(lambda: load.answered > answered + 50)
    assert load.failed == []
    whole = "".join(f"{number} " for number in range(30))
    assert [listener.join() for listener in listeners] == [whole] * 8
    assert not {*before.values()} & {*two.pids().values()}
    assert two.said("worker_died") == 0


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_when_the_parent_is_killed_the_workers_end_and_the_port_is_free(two: Workers) -> None:
    workers = two.pids().values()
    two.process.kill()
    two.process.wait(10)
    two.wait_until(lambda: is_free(two.port))
    two.wait_until(lambda: not any(map(is_running, workers)))


def test_a_worker_that_hangs_ends_too_when_the_parent_is_killed(folder: Path) -> None:
    settings = {"HAYSERVE_GRACEFUL_SHUTDOWN_TIMEOUT": "0"}
    with running(folder, "--port", "0", "--workers", "1", **settings) as server:
        found = re.search(r"worker_started worker=1 pid=(\d+)", server.log.read_text())
        assert found
        body = {"block": 60}
        with socket.create_connection(("127.0.0.1", server.port), timeout=20) as caller:
            caller.sendall(
                b"POST /working/run HTTP/1.1\r\nHost: localhost\r\nContent-Length: 13\r\n"
                b'Content-Type: application/json\r\n\r\n{"block": 60}'
            )
            time.sleep(0.5)
            server.process.kill()
            deadline = time.monotonic() + 40
            while is_running(int(found[1])):
                assert time.monotonic() < deadline, body
                time.sleep(0.1)


def test_ctrl_c_which_the_terminal_sends_to_all_ends_them_in_good_order(folder: Path) -> None:
    log = folder / "log.txt"
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "hayserve", "run", "--workers", "2", "--port", "0"],
            cwd=folder,
            env=environment_in(folder),
            stderr=output,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + 60
        while (found := re.search(r"hayserve listens at (\S+)", log.read_text())) is None:
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.02)
        listener = Listener(found[1], n=10, pace=0.1)
        assert listener.has_begun.wait(20)
        os.killpg(process.pid, signal.SIGINT)
        assert listener.join() == "".join(f"{number} " for number in range(10))
        assert process.wait(20) == 0
        assert "Traceback" not in log.read_text()
    finally:
        process.kill()
        process.wait(10)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_server_that_is_starting_stops_at_once(folder: Path, sent: signal.Signals) -> None:
    log = folder / "log.txt"
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "hayserve", "run", "--workers", "2", "--port", "0"],
            cwd=folder,
            env=environment_in(folder),
            stderr=output,
        )
    try:
        deadline = time.monotonic() + 30
        while "worker_started worker=2" not in log.read_text():
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.01)
        process.send_signal(sent)
        assert process.wait(5) == 0
        assert "Traceback" not in log.read_text()
    finally:
        process.kill()
        process.wait(10)


def test_what_no_worker_can_serve_is_said_as_by_one_process(folder: Path) -> None:
    refused = hayserve(folder, "run", "nowhere", "--workers", "2", "--port", "0")
    assert refused.returncode == 1
    assert "There is nothing at 'nowhere'." in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_key_file_that_cannot_be_written_is_said_by_both(folder: Path) -> None:
    settings = {"HAYSERVE_KEY_FILE": str(folder / "pipelines")}
    for words in ([], ["--workers", "1"]):
        refused = hayserve(folder, "run", "--port", "0", *words, **settings)
        assert refused.returncode == 1
        assert "The local key cannot be written" in refused.stderr
        assert "Traceback" not in refused.stderr


def test_two_servers_do_not_share_a_data_folder(two: Workers) -> None:
    for words in ([], ["--workers", "2"]):
        refused = hayserve(two.folder, "run", "--port", "0", *words)
        assert refused.returncode == 1
        said = " ".join(refused.stderr.split())
        assert f"Another server (process {two.process.pid}, port {two.port}) keeps" in said
        assert "HAYSERVE_DATA_DIR=.hayserve-" in said
