"""Starts a real server in a process of its own, on a free port."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def serving(pipelines_dir: Path, *, data_dir: Path) -> Generator[str]:
    """Serve the wrappers in `pipelines_dir` for as long as the block lasts; gives the URL."""
    port = _free_port()
    command = ["run", "--pipelines-dir", str(pipelines_dir), "--port", str(port)]
    environment = {name: value for name, value in os.environ.items() if not _is_setting(name)}
    process = subprocess.Popen(
        [sys.executable, "-m", "hayserve", *command],
        env={**environment, "HAYSERVE_DATA_DIR": str(data_dir)},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    log = _Log(process.stderr)
    try:
        log.wait_until_ready()
        yield f"http://localhost:{port}"
    finally:
        process.terminate()
        process.wait(timeout=20)
        log.close()


class _Log:
    """Reads what the server says, so that it never waits for a reader."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._lines: list[str] = []
        self._is_ready = False
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def wait_until_ready(self) -> None:
        assert self._wake.wait(timeout=60), "".join(self._lines)
        assert self._is_ready, "".join(self._lines)

    def close(self) -> None:
        self._thread.join()
        self._stream.close()

    def _read(self) -> None:
        for line in self._stream:
            self._lines.append(line)
            if line.startswith("hayserve listens"):
                self._is_ready = True
                self._wake.set()
        self._wake.set()


def _free_port() -> int:
    with socket.create_server(("localhost", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port


def _is_setting(name: str) -> bool:
    return name.startswith(("HAYSERVE_", "HAYHOOKS_"))
