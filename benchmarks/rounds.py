"""Measures scenarios: hayserve, Hayhooks and the floor in turn, round by round."""

import statistics
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.scenario import Row, Scenario
from benchmarks.sides import OURS, THEIRS, UNDER, Contestants, Side, Stage


@dataclass(frozen=True, slots=True)
class Result:
    """A row with the medians of its rounds; None where there is no figure.

    Args:
        row: Which row.
        medians: The figure of each side.
        failures: What went wrong in rounds of a side.
    """

    row: Row
    medians: dict[str, float | None]
    failures: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def ours(self) -> float | None:
        return self.medians.get(OURS)

    @property
    def theirs(self) -> float | None:
        return self.medians.get(THEIRS)

    @property
    def floor(self) -> float | None:
        return self.medians.get(UNDER)

    @property
    def ratio(self) -> float | None:
        """How many times better ours is."""
        return self.row.ratio(self.ours, self.theirs)

    @property
    def is_reached(self) -> bool | None:
        """Whether what is asked for is there; None if nothing is, or nobody knows."""
        if self.row.goal is None:
            return None
        if OURS in self.failures or self.ours is None:
            return False
        return self.row.goal.is_reached(self.ours, ratio=self.ratio, floor=self.floor)


def results(
    scenario: Scenario,
    contestants: Contestants,
    folder: Path,
    *,
    rounds: int,
    seconds: float,
) -> Iterator[Result]:
    """Measure a scenario; gives its rows."""
    with ExitStack() as stack:
        sides = [*Stage(contestants, folder, seconds, stack).sides(scenario)]
        for _ in range(rounds):
            for side in sides:
                side.round()
    for row in scenario.rows:
        yield result(row, sides)


def result(row: Row, sides: Sequence[Side]) -> Result:
    """What the rounds of all sides say of a row."""
    return Result(
        row,
        medians={side.label: _median(row, side) for side in sides},
        failures={
            side.label: f"{len(side.failures)} x {side.failures[-1]}"
            for side in sides
            if side.failures
        },
    )


def _median(row: Row, side: Side) -> float | None:
    figures = [figures[row.figure] for figures in side.figures if row.figure in figures]
    return statistics.median(figures) if figures and not side.is_given_up else None
