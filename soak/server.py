"""A server of several processes on a free port, as people start it, and what is known of it."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx2

START_SECONDS = 120


class Server:
    """A server and its processes; `start` may be called again after `kill`."""

    def __init__(
        self,
        folder: Path,
        *arguments: str,
        database_url: str | None = None,
        settings: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / "server.log"
        self._arguments = arguments
        self._database_url = database_url
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> float:
        """Start it and wait until it is ready; gives the seconds that took."""
        known = {name: value for name, value in os.environ.items() if "HAYSERVE" not in name}
        environment = {
            **known,
            "HAYSERVE_DATA_DIR": str(self.folder / "data"),
            "HAYSERVE_PIPELINES_DIR": str(self.folder / "pipelines"),
            "HAYSERVE_KEY_FILE": str(self.folder / "key"),
            "HAYSERVE_ACCESS_LOG": "false",
            "HAYSTACK_TELEMETRY_ENABLED": "False",
            **self._settings,
        }
        if self._database_url:
            environment["HAYSERVE_DATABASE_URL"] = self._database_url
        command = [sys.executable, "-m", "hayserve", "run", "--port", str(self.port)]
        begun = time.monotonic()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, *self._arguments], env=environment, stderr=log, stdout=log
            )
        self.wait_until_ready()
        return time.monotonic() - begun

    def wait_until_ready(self) -> None:
        """Return when `/readyz` says so."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            with suppress(httpx2.HTTPError):
                if httpx2.get(f"{self.url}/readyz", timeout=5).status_code == 200:
                    return
            assert self._process is not None
            if self._process.poll() is not None:
                break
            time.sleep(0.02)
        raise AssertionError(f"The server did not start:\n{self.log.read_text()[-3000:]}")

    def stop(self) -> None:
        """End it in good order."""
        if self._process is not None:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=30)
            self.kill()

    def kill(self) -> None:
        """End the parent without a word, and see that all its processes go."""
        assert self._process is not None
        everyone = [*self.processes()]
        self._process.kill()
        self._process.wait()
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and any(map(is_alive, everyone)):
            time.sleep(0.02)
        for pid in filter(is_alive, everyone):
            os.kill(pid, signal.SIGKILL)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def processes(self) -> Iterator[int]:
        """The parent and all that it started."""
        yield self.pid
        yield from descendants(self.pid)

    def workers(self) -> list[int]:
        """The processes that answer."""
        return [pid for pid in children(self.pid) if b"hayserve.server.worker" in _command(pid)]

    def provers(self) -> list[int]:
        """The processes that try deployments out."""
        found = descendants(self.pid)
        return [pid for pid in found if b"hayserve.server.proof_process" in _command(pid)]

    def client(self) -> httpx2.Client:
        """A client that may deploy."""
        key = (self.folder / "key").read_text()
        return httpx2.Client(
            base_url=self.url, headers={"authorization": f"Bearer {key}"}, timeout=180
        )

    def deploy(self, name: str, files: dict[str, str], **fields: Any) -> httpx2.Response:
        with self.client() as client:
            body = {"name": name, "files": files, **fields}
            return client.post("/deploy_files", json=body)

    def rss(self) -> float:
        """The memory of the processes that answer, in MB."""
        pids = self.workers() or [self.pid]
        return sum(rss(pid) for pid in pids)


@contextmanager
def serving(
    folder: Path,
    *arguments: str,
    database_url: str | None = None,
    settings: Mapping[str, str] = MappingProxyType({}),
) -> Generator[Server]:
    """A server for as long as the block lasts."""
    server = Server(folder, *arguments, database_url=database_url, settings=settings)
    try:
        server.start()
        yield server
    finally:
        server.stop()


def rss(pid: int) -> float:
    """The resident memory of a process, in MB."""
    text = Path(f"/proc/{pid}/status").read_text()
    [line] = [line for line in text.splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1]) / 1024


def children(pid: int) -> list[int]:
    with suppress(OSError):
        tasks = Path(f"/proc/{pid}/task").iterdir()
        return [int(child) for task in tasks for child in (task / "children").read_text().split()]
    return []


def descendants(pid: int) -> list[int]:
    found: list[int] = []
    for child in children(pid):
        found += [child, *descendants(child)]
    return found


def is_alive(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


def table(rows: Sequence[Sequence[object]]) -> str:
    """Rows as text, in columns."""
    widths = [max(len(str(row[n])) for row in rows) for n in range(len(rows[0]))]
    return "\n".join(
        "  ".join(str(cell).ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    )


def _command(pid: int) -> bytes:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port
