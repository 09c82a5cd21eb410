"""Measures scenarios: hayserve, Hayhooks and the floor in turn, round by round."""

import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx2

from benchmarks.calls import Calls
from benchmarks.cores import server_core, started_on
from benchmarks.scenario import Figures, Fresh, Row, Scenario, Standing
from benchmarks.servers import FLOOR, ROOT, Failed, Kind, Server

OURS, THEIRS, UNDER = "hayserve", "hayhooks", "floor"
FAILURES_THAT_ARE_ENOUGH = 2


@dataclass(frozen=True, slots=True)
class Result:
    """A row with the medians of its rounds; None where there is no figure.

    Args:
        row: Which row.
        medians: The figure of each side.
        rounds: The figure of each round of each side.
        failures: Why a side has none, or fewer.
    """

    row: Row
    medians: dict[str, float | None]
    rounds: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    failures: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def ours(self) -> float | None:
        return self.medians.get(OURS)

    @property
    def ratio(self) -> float | None:
        return self.row.ratio(self.ours, self.medians.get(THEIRS))

    @property
    def is_reached(self) -> bool | None:
        """Whether what is asked for is there; None if nothing is, or nobody knows."""
        if self.row.goal is None or self.ours is None:
            return None
        return self.row.goal.is_reached(self.ours, ratio=self.ratio, floor=self.medians.get(UNDER))


@dataclass(slots=True)
class Side:
    """One of those that are measured in turn, and what it gave so far."""

    label: str
    measure: Callable[[], Figures]
    again: Callable[[], None] = lambda: None
    figures: list[Figures] = field(default_factory=list[Figures])
    failures: list[str] = field(default_factory=list[str])

    def round(self) -> None:
        """Measure once more, unless it failed too often already."""
        if len(self.failures) >= FAILURES_THAT_ARE_ENOUGH:
            return
        try:
            self.figures.append(self.measure())
        except Failed as error:
            self.failures.append(str(error))
            if len(self.failures) < FAILURES_THAT_ARE_ENOUGH:
                self.again()


def results(
    scenario: Scenario, contestants: tuple[Kind, Kind], folder: Path, *, rounds: int, seconds: float
) -> Iterator[Result]:
    """Measure a scenario; gives its rows."""
    with ExitStack() as stack:
        if isinstance(scenario, Standing):
            sides = [*_standing(scenario, contestants, folder, stack=stack, seconds=seconds)]
        else:
            sides = [*_fresh(scenario, contestants, folder, seconds=seconds)]
        for _ in range(rounds):
            for side in sides:
                side.round()
    for row in scenario.rows:
        yield _result(row, sides)


def _result(row: Row, sides: list[Side]) -> Result:
    rounds = {
        side.label: [figures[row.figure] for figures in side.figures if row.figure in figures]
        for side in sides
    }
    return Result(
        row,
        medians={side: statistics.median(all_) if all_ else None for side, all_ in rounds.items()},
        rounds=rounds,
        failures={side.label: side.failures[-1] for side in sides if side.failures},
    )


def _fresh(
    scenario: Fresh, contestants: tuple[Kind, Kind], folder: Path, *, seconds: float
) -> Iterator[Side]:
    for label, kind in zip((OURS, THEIRS), contestants, strict=True):

        def measure(kind: Kind = kind) -> Figures:
            return scenario.measure(kind, folder, seconds)

        yield Side(label, measure)


def _standing(
    scenario: Standing,
    contestants: tuple[Kind, Kind],
    folder: Path,
    *,
    stack: ExitStack,
    seconds: float,
) -> Iterator[Side]:
    ours, theirs = (Server(kind, folder / kind.label) for kind in contestants)
    for label, server in ((OURS, ours), (THEIRS, theirs)):
        for wrapper in scenario.wrappers:
            server.deploy(wrapper)
        yield _served(label, server, scenario, stack=stack, seconds=seconds)
    if scenario.recorded is not None:
        answer = folder / "answer"
        floor = Server(FLOOR, folder / UNDER, variables={"FLOOR_ANSWER": str(answer)})
        with suppress(httpx2.HTTPError):  # then the floor does not start, and the table says so
            answer.write_bytes(_recorded(ours, scenario.recorded(ours)))
        yield _served(UNDER, floor, scenario, stack=stack, seconds=seconds)
    if scenario.bare:
        arguments = scenario.bare
        yield Side(UNDER, lambda: bare(arguments, seconds=seconds))


def _served(
    label: str, server: Server, scenario: Standing, *, stack: ExitStack, seconds: float
) -> Side:
    def again() -> None:
        server.kill()
        server.start()

    side = Side(label, lambda: scenario.measure(server, seconds), again)
    try:
        server.start()
        stack.callback(server.stop)
    except Failed as error:
        side.failures += [str(error)] * FAILURES_THAT_ARE_ENOUGH
    return side


def _recorded(server: Server, calls: Calls) -> bytes:
    """An answer for the floor: its content type, a line end, its body."""
    headers = {"content-type": "application/json"}
    url = server.url + calls.path
    answer = httpx2.post(url, content=calls.body, headers=headers, timeout=60)
    return answer.headers["content-type"].encode() + b"\n" + answer.content


def bare(arguments: tuple[str, ...], *, seconds: float) -> Figures:
    """What Haystack does without a server, on the core of the servers."""
    command = [sys.executable, "-m", "benchmarks.bare", *arguments]
    if "--seconds" not in arguments:
        command += ["--seconds", str(seconds)]
    with started_on(server_core()):
        done = subprocess.run(command, capture_output=True, cwd=ROOT, timeout=120, check=False)
    if done.returncode:
        raise Failed(done.stderr.decode()[-300:])
    figures: dict[str, float] = json.loads(done.stdout)
    return figures
