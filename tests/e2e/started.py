"""Starts `hayserve run` as users do, in a folder of the test's own."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import httpx2


def environment_in(folder: Path, **settings: str) -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("HAYSERVE_", "HAYHOOKS_"))
    }
    return {**kept, "XDG_STATE_HOME": str(folder / "state"), **settings}


def hayserve(folder: Path, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a command of hayserve's that ends by itself."""
    return subprocess.run(
        [sys.executable, "-m", "hayserve", *words],
        cwd=folder,
        env=environment_in(folder, **settings),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


READY = "hayserve listens at"


class Process:
    """A server that runs, its URL, and what it says."""

    def __init__(self, folder: Path, *words: str, says: str = READY, **settings: str) -> None:
        self.folder = folder
        self.log = folder / "log.txt"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "hayserve", "run", *words],
                cwd=folder,
                env=environment_in(folder, **settings),
                stdout=log,
                stderr=log,
            )
        try:
            self.url = self.wait_for(rf"{says} (http://\S+)")
        except BaseException:
            self.process.kill()
            self.process.wait()
            raise
        self.http = httpx2.Client(base_url=self.url, timeout=30, trust_env=False)

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    @property
    def key_file(self) -> Path:
        return self.folder / "state" / "hayserve" / f"local-{self.port}.key"

    def run(self, name: str, **parameters: object) -> httpx2.Response:
        return self.http.post(f"/{name}/run", json=parameters)

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        return hayserve(self.folder, *words, "--url", self.url)

    def stop(self, with_signal: signal.Signals = signal.SIGINT) -> int:
        self.http.close()
        if self.process.poll() is None:
            self.process.send_signal(with_signal)
        try:
            return self.process.wait(timeout=30)
        finally:
            self.process.kill()

    def wait_for(self, pattern: str) -> str:
        """Wait until the log has it; gives its first group."""
        deadline = time.monotonic() + 60
        while (found := re.search(pattern, self.log.read_text())) is None:
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.02)
        return found[1] if found.groups() else found[0]


@contextmanager
def running(folder: Path, *words: str, says: str = READY, **settings: str) -> Generator[Process]:
    process = Process(folder, *words, says=says, **settings)
    try:
        yield process
    finally:
        process.stop()
