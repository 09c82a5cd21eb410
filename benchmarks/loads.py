"""Starts the load client on its core, and says what its figures mean."""

import json
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from benchmarks.calls import Calls, Found, Task
from benchmarks.cores import client_core, started_on
from benchmarks.servers import ROOT, Failed, Server


class Load:
    """A load client that was started; `found` waits for it."""

    def __init__(self, task: Task, cores: frozenset[int] | None = None) -> None:
        self._seconds = task.warm_up + task.seconds + 3 * task.patience + 20
        with started_on(cores or client_core()):
            self._process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.client"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=ROOT,
                text=True,
            )
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asdict(task)))
        self._process.stdin.close()
        self._process.stdin = None

    def is_under_way(self) -> bool:
        return self._process.poll() is None

    def found(self) -> Found:
        """What it found out.

        Raises:
            Failed: Some answer was wrong, or did not come.
        """
        try:
            printed, said = self._process.communicate(timeout=self._seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
            raise Failed("the client did not come to an end") from None
        if self._process.returncode:
            raise Failed(f"the client failed: {said.strip().splitlines()[-1]}")
        given: dict[str, Any] = json.loads(printed)
        found = Found(**given)
        if found.failures:
            raise Failed(", ".join(f"{times} x {what}" for what, times in found.failures.items()))
        return found


def load(
    server: Server,
    calls: Sequence[Calls],
    *,
    seconds: float = 0.0,
    patience: float = 60.0,
    probe: str = "",
    cores: frozenset[int] | None = None,
) -> Found:
    """Put a load on a server for so many seconds, or until each call is answered once."""
    task = Task(
        port=server.port,
        calls=tuple(calls),
        seconds=seconds,
        patience=patience,
        pids=server.pids(),
        probe=probe,
    )
    return Load(task, cores).found()


def rest(wrapper: str, *, connections: int) -> Calls:
    """Calls of `/{wrapper}/run`."""
    body = json.dumps({"question": "May I?"})
    return Calls(f"/{wrapper}/run", body, connections)


def chat(
    server: Server,
    wrapper: str,
    *,
    connections: int = 32,
    tokens: int = 1,
    stream: bool = False,
    again: bool = True,
) -> Calls:
    """Calls of the chat endpoint."""
    message = {"role": "user", "content": "Hello"}
    body = json.dumps({"model": wrapper, "messages": [message], "stream": stream})
    ending = server.kind.ending if stream else ""
    path = "/v1/chat/completions"
    return Calls(path, body, connections, again=again, tokens=tokens, ending=ending)


def rates(found: Found, count: int) -> dict[str, float]:
    """How many there were in a second, and the processor time of each in microseconds.

    Raises:
        Failed: There was none.
    """
    if not count:
        raise Failed("nothing arrived in the time")
    return {"rate": count / found.seconds, "cpu": found.cpu / count * 1e6}


def median(times: Sequence[float]) -> float:
    """The median.

    Raises:
        Failed: There is none.
    """
    if not times:
        raise Failed("nothing was answered in the time")
    return statistics.median(times)
