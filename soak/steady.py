"""Serves mixed traffic at 80 % of what it can take, with cancels and redeploys: memory stays flat.

    python -m soak.steady --minutes 10

First as many clients ask as it takes to keep the server busy, which only shows how many requests it
can take. Then they come at four fifths of that pace, whether the earlier ones are answered or not.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count, cycle
from pathlib import Path
from typing import Any

import uvloop

from soak.server import Server, rss, serving, table
from soak.traffic import KINDS, SOURCES, Counts, Traffic, source

WARM_UP_SECONDS, MEASURING_SECONDS = 5, 10
CLIENTS = 192
LOAD = 0.8
MOST_UNDER_WAY = 800
TICK_SECONDS = 0.01
REDEPLOY_SECONDS = 10
SAMPLE_SECONDS = 5
MOST_GROWTH = 1.15


@dataclass(slots=True)
class Sample:
    """The memory of all workers together, in MB, and what was held open, at a time."""

    seconds: float
    memory: float
    files: int
    threads: int


@dataclass
class Result:
    """What came of it.

    Args:
        capacity: How many requests a second were answered when clients asked all the time.
        counts: What came of the requests after that.
        seconds: How long that was.
        held_back: Requests that were not sent because too many waited for their answers.
        redeploys: How many seconds each took.
        samples: What was seen of the workers.
        problems: What is wrong with the server afterwards.
    """

    capacity: float = 0.0
    counts: Counts = field(default_factory=Counts)
    seconds: float = 0.0
    held_back: int = 0
    redeploys: list[float] = field(default_factory=list[float])
    samples: list[Sample] = field(default_factory=list[Sample])
    problems: list[str] = field(default_factory=list[str])

    def __str__(self) -> str:
        return "\n\n".join([self._requests(), self._memory(), self._errors()])

    def _requests(self) -> str:
        counts = self.counts
        columns = {
            "requests": counts.asked,
            "answered": counts.answered,
            "429": counts.refused,
            "left by the client": counts.left,
            "cancelled": counts.cancelled,
        }
        names = [kind.name for kind in KINDS]
        rows = [(name, *(of[name] for of in columns.values())) for name in names]
        total = ("all", *(of.total() for of in columns.values()))
        return table([("", *columns), *rows, total])

    def _memory(self) -> str:
        first, last = self.early(), self.late()
        return table(
            [
                ("requests a second, at most", f"{self.capacity:.0f}"),
                ("requests a second, sent", f"{self.counts.asked.total() / self.seconds:.0f}"),
                ("held back by the clients", self.held_back),
                ("redeploys", len(self.redeploys)),
                ("seconds per redeploy, median and longest", _median_and_most(self.redeploys)),
                ("seconds per cancel, median and longest", _median_and_most(self.counts.cancels)),
                (f"MB after {self.early_second:.0f} s", f"{first:.0f}"),
                ("MB at the end", f"{last:.0f} ({last / first:.2f} times that)"),
                ("MB at most", f"{max(sample.memory for sample in self.samples):.0f}"),
                ("open files, first and last", _first_and_last(s.files for s in self.samples)),
                ("threads, first and last", _first_and_last(s.threads for s in self.samples)),
            ]
        )

    def _errors(self) -> str:
        wrong = [*self.counts.unexplained.items(), *((text, 1) for text in self.problems)]
        lines = [f"{times} times: {what}" for what, times in wrong[:20]]
        return "\n".join([f"unexplained: {sum(times for _, times in wrong)}", *lines])

    @property
    def early_second(self) -> float:
        """When memory is what it should stay: after a minute, or after half of a short test."""
        return min(60.0, self.seconds / 2)

    def early(self) -> float:
        return _typical([s.memory for s in self.samples if s.seconds <= self.early_second])

    def late(self) -> float:
        return _typical([sample.memory for sample in self.samples])

    @property
    def is_clean(self) -> bool:
        is_flat = self.late() <= MOST_GROWTH * self.early()
        return is_flat and not self.counts.unexplained and not self.problems


def _typical(memory: Sequence[float]) -> float:
    """Of the last half minute: a redeploy holds two revisions for a moment."""
    return statistics.median(memory[-6:])


def _median_and_most(seconds: Sequence[float]) -> str:
    return f"{statistics.median(seconds):.2f}, {max(seconds):.2f}" if seconds else "-"


def _first_and_last(numbers: Any) -> str:
    listed = list(numbers)
    return f"{listed[0]}, {listed[-1]}"


class Soak:
    """One run of it.

    Args:
        server: The server.
        minutes: How long requests come at a steady pace.
    """

    def __init__(self, server: Server, *, minutes: float) -> None:
        self._server = server
        self._seconds = minutes * 60
        key = (server.folder / "key").read_text()
        self._traffic = Traffic(server.port, key=key)
        self._result = Result()
        self._begun = 0.0

    async def run(self) -> Result:
        """Measure what the server can take, then do it all."""
        workers = self._server.workers()
        self._result.capacity = await self._capacity()
        self._traffic.counts = self._result.counts
        self._begun = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._sample())
            tasks.create_task(self._redeploy())
            await self._arrive(tasks)
        self._result.seconds = self._seconds
        self._traffic.close()
        self._result.problems += await asyncio.to_thread(_problems, self._server, workers)
        return self._result

    @property
    def _now(self) -> float:
        return time.monotonic() - self._begun

    async def _capacity(self) -> float:
        end = time.monotonic() + WARM_UP_SECONDS + MEASURING_SECONDS

        async def client() -> None:
            while time.monotonic() < end:
                await self._traffic.ask()

        async with asyncio.TaskGroup() as tasks:
            for _ in range(CLIENTS):
                tasks.create_task(client())
            await asyncio.sleep(WARM_UP_SECONDS)
            before = self._traffic.counts.asked.total()
            await asyncio.sleep(MEASURING_SECONDS)
            return (self._traffic.counts.asked.total() - before) / MEASURING_SECONDS

    async def _arrive(self, tasks: asyncio.TaskGroup) -> None:
        """Send requests at a steady pace, however long the answers take."""
        counts = self._result.counts
        while self._now < self._seconds:
            due = int(self._now * self._result.capacity * LOAD)
            for _ in range(due - counts.asked.total() - self._result.held_back):
                if self._traffic.under_way >= MOST_UNDER_WAY:
                    self._result.held_back += 1
                else:
                    tasks.create_task(self._traffic.ask())
            await asyncio.sleep(TICK_SECONDS)

    async def _sample(self) -> None:
        minutes = count(1)
        minute = next(minutes)
        while self._now < self._seconds:
            workers = self._server.workers()
            memory = sum(rss(pid) for pid in workers)
            files = sum(_number_of(pid, "fd") for pid in workers)
            threads = sum(_number_of(pid, "task") for pid in workers)
            self._result.samples.append(Sample(self._now, memory, files, threads))
            if self._now >= minute * 60:
                minute = next(minutes)
                asked = self._result.counts.asked.total()
                print(f"{self._now:.0f} s: {asked} requests, {memory:.0f} MB", flush=True)
            await asyncio.sleep(SAMPLE_SECONDS)

    async def _redeploy(self) -> None:
        for number, name in enumerate(cycle(SOURCES)):
            await asyncio.sleep(REDEPLOY_SECONDS)
            if self._now >= self._seconds:
                return
            files = {"pipeline_wrapper.py": source(name, label=f"r{number}")}
            begun = time.monotonic()
            answer = await asyncio.to_thread(self._server.deploy, name, files, overwrite=True)
            self._result.redeploys.append(time.monotonic() - begun)
            if answer.status_code != 200:
                self._result.problems.append(f"redeploy: {answer.status_code} {answer.text}")


def _number_of(pid: int, what: str) -> int:
    return len([*Path(f"/proc/{pid}/{what}").iterdir()])


def _problems(server: Server, workers: Sequence[int]) -> list[str]:
    """What is wrong with a server that has answered everything."""
    found: list[str] = []
    if sorted(server.workers()) != sorted(workers):
        found.append(f"the workers were {workers} and are {server.workers()}")
    log = server.log.read_text()
    if "Traceback" in log or " ERROR " in log:
        found.append(f"the log has errors, such as {log[log.find(' ERROR ') :][:1000]}")
    deadline = time.monotonic() + 20
    with server.client() as client:
        while runs := client.get("/runs").json()["runs"]:
            if time.monotonic() > deadline:
                found.append(f"{len(runs)} runs are left, such as {runs[0]}")
                break
            time.sleep(0.1)
    return found


def run(folder: Path, *, minutes: float = 10) -> Result:
    """Serve for so long."""
    for name in SOURCES:
        wrapper = folder / "pipelines" / name / "pipeline_wrapper.py"
        wrapper.parent.mkdir(parents=True)
        wrapper.write_text(source(name, label="first"))
    settings = {"HAYSERVE_LOG_LEVEL": "WARNING"}
    with serving(folder, "--workers", "2", settings=settings) as server:
        return uvloop.run(Soak(server, minutes=minutes).run())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = run(Path(folder), minutes=given.minutes)
    print(result)
    raise SystemExit(0 if result.is_clean else 1)


if __name__ == "__main__":
    main()
