"""Kills a process of the server in the middle of a deploy: the old or the new revision serves.

    python -m soak.kill --points 50

Each point waits until the deploy has come to a stage, and a random moment more, kills a random
process with SIGKILL (a worker, the parent, or the process that tries the deployment out), starts
the server again if its parent was killed, and asks every worker until all have answered.
"""

import argparse
import os
import random
import signal
import sqlite3
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx2

from soak.server import Server, table

WORKERS = 3
STAGES = ("proof", "loading", "holding", "committed", "done")
VICTIMS = ("worker", "coordinator", "parent", "prover")

SOURCE = """
import os, time
from hayserve import BasePipelineWrapper

class PipelineWrapper(BasePipelineWrapper):
    def setup(self):
        time.sleep(0.15)
        {setup}

    def run_api(self) -> list:
        return ["{label}", os.getpid()]
"""


@dataclass
class Point:
    """One kill and what came of it."""

    stage: str
    victim: str
    answer: str
    served: str
    problem: str = ""


@dataclass
class Deploy:
    """A deploy in a thread, and its answer: `ok`, `refused`, or `lost` with the connection."""

    server: Server
    source: str
    answer: str = "lost"
    _thread: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        with suppress(httpx2.HTTPError):
            answer = self.server.deploy("it", {"pipeline_wrapper.py": self.source}, overwrite=True)
            self.answer = "ok" if answer.status_code == 200 else "refused"

    def join(self) -> str:
        self._thread.join()
        return self.answer


class Soak:
    """A server that is killed and started again."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._server = Server(folder, "--workers", str(WORKERS))
        self._database = folder / "data" / "hayserve.db"
        self._random = random.Random(seed)
        self._number = 0
        self._serves = self._label()

    def run(self, points: int) -> list[Point]:
        self._server.start()
        try:
            assert Deploy(self._server, self._source(self._serves)).join() == "ok"
            combinations = [(stage, victim) for stage in STAGES for victim in VICTIMS]
            self._random.shuffle(combinations)
            return [self._point(*combinations[n % len(combinations)]) for n in range(points)]
        finally:
            self._server.stop()

    def _point(self, stage: str, victim: str) -> Point:
        # One in four never works: it must never be served.
        is_bad = self._random.random() < 0.25
        old, new = self._serves, self._label()
        last = self._last_change()
        deploy = Deploy(self._server, self._source(new, bad=is_bad))
        self._wait_for(stage, after=last)
        time.sleep(self._random.random() * (0.2 if stage in {"proof", "loading"} else 0.01))
        found = self._last_change()
        killed = self._kill(victim)
        if killed == "parent":
            self._server.kill()
            answer = deploy.join()
            self._server.start()
        else:
            answer = deploy.join()
            self._server.wait_until_ready()
        served, problem = self._served()
        self._serves = served
        reached = found[1] if found[0] > last[0] else "proof"
        return Point(
            reached,
            killed,
            answer,
            served="old" if served == old else "new" if served == new else served,
            problem=problem or _problem(served, old, new=new, is_bad=is_bad, answer=answer),
        )

    def _wait_for(self, stage: str, *, after: tuple[int, str]) -> None:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            number, reached = self._last_change()
            is_new = number > after[0]
            if stage == "proof" or (
                is_new and (reached == "aborted" or _STAGE[reached] >= _STAGE[stage])
            ):
                return
            time.sleep(0.0005)

    def _kill(self, victim: str) -> str:
        choices: dict[str, Callable[[], list[int]]] = {
            "worker": self._server.workers,
            "coordinator": self._coordinator,
            "prover": self._server.provers,
            "parent": lambda: [self._server.pid],
        }
        pids = choices[victim]()
        if not pids:
            victim, pids = "worker", self._server.workers()
        with suppress(ProcessLookupError):
            os.kill(self._random.choice(pids), signal.SIGKILL)
        return victim

    def _coordinator(self) -> list[int]:
        with closing(sqlite3.connect(f"file:{self._database}?mode=ro", uri=True)) as connection:
            row = connection.execute(
                "SELECT workers.pid FROM changes JOIN workers ON workers.id = coordinator"
                " ORDER BY changes.id DESC LIMIT 1"
            ).fetchone()
        return [row[0]] if row and row[0] in self._server.workers() else []

    def _last_change(self) -> tuple[int, str]:
        with closing(sqlite3.connect(f"file:{self._database}?mode=ro", uri=True)) as connection:
            row = connection.execute(
                "SELECT id, stage FROM changes ORDER BY id DESC LIMIT 1"
            ).fetchone()
        return (row[0], row[1]) if row else (0, "done")

    def _served(self) -> tuple[str, str]:
        """What all workers answer; asked until each has."""
        seen: dict[int, set[str]] = {}
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            with suppress(httpx2.HTTPError):
                answer = httpx2.post(f"{self._server.url}/it/run", json={}, timeout=10)
                if answer.status_code != 200:
                    return "?", f"{answer.status_code} {answer.text[:200]}"
                label, pid = answer.json()["result"]
                seen.setdefault(pid, set()).add(label)
            workers = self._server.workers()
            if len(workers) == WORKERS and set(workers) <= set(seen):
                break
        labels = {label for pid in seen for label in seen[pid]}
        return labels.pop(), f"a mixture: {seen}" if labels else ""

    def _source(self, label: str, *, bad: bool = False) -> str:
        setup = self._random.choice(["1 / 0", "os._exit(3)"]) if bad else "pass"
        return SOURCE.format(label=label, setup=setup)

    def _label(self) -> str:
        self._number += 1
        return f"r{self._number}"


_STAGE = {stage: number for number, stage in enumerate(STAGES)}


def _problem(served: str, old: str, *, new: str, is_bad: bool, answer: str) -> str:
    if served not in {old, new}:
        return f"{served} is neither {old} nor {new}"
    if is_bad and served == new:
        return "unproven code is served"
    if answer == "ok" and served != new:
        return "a deploy that was done is not served"
    if answer == "refused" and served != old:
        return "a deploy that was refused is served"
    return ""


def run(folder: Path, *, points: int = 50, seed: int = 0) -> list[Point]:
    """Kill at so many points."""
    return Soak(folder, seed).run(points)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--points", type=int, default=50)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        points = run(Path(folder), points=given.points, seed=given.seed)
    counts = Counter((one.stage, one.victim, one.answer, one.served) for one in points)
    rows = [("stage", "killed", "answer", "serves", "times")]
    rows += [(*key, str(number)) for key, number in sorted(counts.items())]
    print(table(rows))
    problems = [one for one in points if one.problem]
    print(f"seed {given.seed}: {len(points)} points, {len(problems)} problems {problems[:3]}")
    raise SystemExit(1 if problems else 0)


if __name__ == "__main__":
    main()
