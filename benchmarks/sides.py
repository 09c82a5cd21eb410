"""Who is measured in a scenario: both servers, each with its wrappers, and what is the floor."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import httpx2

from benchmarks.calls import Calls
from benchmarks.cores import server_core, started_on
from benchmarks.loads import load
from benchmarks.scenario import Figures, Fresh, Scenario, Standing
from benchmarks.servers import FLOOR, ROOT, Failed, Kind, Server

OURS, THEIRS, UNDER = "hayserve", "hayhooks", "floor"
FAILURES_THAT_ARE_ENOUGH = 2
Contestants = tuple[Kind, Kind]


@dataclass(slots=True)
class Side:
    """One of those that are measured in turn, and what it gave so far.

    Args:
        label: Who it is.
        measure: Measures it once.
        again: Puts it back on its feet after a failure.
    """

    label: str
    measure: Callable[[], Figures]
    again: Callable[[], None] = lambda: None
    figures: list[Figures] = field(default_factory=list[Figures])
    failures: list[str] = field(default_factory=list[str])

    @property
    def is_given_up(self) -> bool:
        return len(self.failures) >= FAILURES_THAT_ARE_ENOUGH

    def round(self) -> None:
        """Measure once more, unless it failed too often already."""
        if self.is_given_up:
            return
        try:
            self.figures.append(self.measure())
        except Failed as error:
            self.failures.append(str(error))
            self._again()

    def _again(self) -> None:
        try:
            self.again()
        except Failed as error:
            self.give_up(error)

    def give_up(self, error: Failed) -> None:
        self.failures += [str(error)] * FAILURES_THAT_ARE_ENOUGH


@dataclass(frozen=True, slots=True)
class Stage:
    """Where a scenario takes place.

    Args:
        contestants: hayserve and Hayhooks.
        folder: An empty one.
        seconds: How long each measurement takes.
        stack: What is closed when it is over.
    """

    contestants: Contestants
    folder: Path
    seconds: float
    stack: ExitStack

    def sides(self, scenario: Scenario) -> Iterator[Side]:
        """Start what has to be there; gives those that are measured in turn."""
        if isinstance(scenario, Fresh):
            yield from self._fresh(scenario)
            return
        ours = Server(self.contestants[0], self.folder / OURS)
        if scenario.needs and not _can_import(self.contestants[0], scenario.needs):
            side = Side(OURS, dict)
            side.give_up(Failed(f"skipped, as {scenario.needs} cannot be imported"))
            yield side
            return
        beside: Mapping[str, str] = {}
        if scenario.beside is not None:
            beside = self.stack.enter_context(scenario.beside())
        yield self._serving(ours, scenario, label=OURS, variables=beside)
        theirs = Server(self.contestants[1], self.folder / THEIRS)
        yield self._serving(theirs, scenario, label=THEIRS, variables=beside)
        yield from self._floor(scenario, ours)

    def _fresh(self, scenario: Fresh) -> Iterator[Side]:
        for label, kind in zip((OURS, THEIRS), self.contestants, strict=True):

            def measure(kind: Kind = kind) -> Figures:
                return scenario.measure(kind, self.folder, self.seconds)

            yield Side(label, measure)

    def _serving(
        self, server: Server, scenario: Standing, *, label: str, variables: Mapping[str, str]
    ) -> Side:
        """A server that is started now, and serves the wrappers of the scenario."""
        for wrapper in (*scenario.wrappers, *(scenario.only_ours if label == OURS else ())):
            server.deploy(wrapper)
        server.variables.update(variables)

        def again() -> None:
            server.kill()
            start()

        def start() -> None:
            server.start()
            if scenario.first is not None:
                load(server, [scenario.first(server)])

        side = Side(label, lambda: scenario.measure(server, self.seconds), again)
        self.stack.callback(server.stop)
        try:
            start()
        except Failed as error:
            side.give_up(error)
        return side

    def _floor(self, scenario: Standing, ours: Server) -> Iterator[Side]:
        if scenario.recorded is not None:
            yield self._recorded_floor(scenario, ours, scenario.recorded(ours))
        if scenario.bare:
            yield Side(UNDER, lambda: bare(scenario.bare, seconds=self.seconds))

    def _recorded_floor(self, scenario: Standing, ours: Server, calls: Calls) -> Side:
        answer = self.folder / "answer"
        try:
            answer.write_bytes(_recorded(ours, calls))
        except httpx2.HTTPError as error:
            side = Side(UNDER, dict)
            side.give_up(Failed(f"hayserve gave no answer to record: {error}"))
            return side
        server = Server(FLOOR, self.folder / UNDER)
        variables = {"FLOOR_ANSWER": str(answer)}
        return self._serving(server, scenario, label=UNDER, variables=variables)


def _recorded(server: Server, calls: Calls) -> bytes:
    """An answer for the floor: its content type, a line end, its body."""
    headers = {"content-type": "application/json"}
    url = server.url + calls.path
    answer = httpx2.post(url, content=calls.body, headers=headers, timeout=60)
    answer.raise_for_status()
    return answer.headers["content-type"].encode() + b"\n" + answer.content


def _can_import(kind: Kind, module: str) -> bool:
    command = [kind.command[0], "-c", f"import {module}"]
    done = subprocess.run(command, env=kind.environment(), capture_output=True, check=False)
    return not done.returncode


def bare(arguments: tuple[str, ...], *, seconds: float) -> Figures:
    """What Haystack does without a server, on the core of the servers."""
    command = [sys.executable, "-m", "benchmarks.bare", "--seconds", str(seconds), *arguments]
    with started_on(server_core()):
        done = subprocess.run(command, capture_output=True, cwd=ROOT, timeout=120, check=False)
    if done.returncode:
        raise Failed(f"the bare loop failed: {done.stderr.decode().strip().splitlines()[-1]}")
    figures: dict[str, float] = json.loads(done.stdout)
    return figures
