"""What is measured: a scenario, the rows that come out of it, and where its floor is."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.calls import Calls
from benchmarks.servers import Kind, Server
from benchmarks.targets import GOALS, Goal

Figures = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table.

    Args:
        name: What `--only` finds and the goals are kept under.
        title: What the table says.
        unit: What its figures are.
        figure: Which of the scenario's figures it shows.
        more_is_better: Whether a higher figure is the better one.
    """

    name: str
    title: str
    unit: str
    figure: str = "rate"
    more_is_better: bool = True

    @property
    def goal(self) -> Goal | None:
        return GOALS.get(self.name)

    def ratio(self, ours: float | None, theirs: float | None) -> float | None:
        """How many times better ours is."""
        if not ours or not theirs:
            return None
        return ours / theirs if self.more_is_better else theirs / ours


@dataclass(frozen=True, slots=True)
class Standing:
    """A scenario for which each server is started once, and then measured in every round.

    Args:
        rows: What comes out.
        wrappers: What is served.
        measure: Measures a server that runs, for so many seconds.
        first: Calls that are answered before anything is measured; none where the measuring
            itself warms up.
        recorded: The call whose answer the floor gives, byte by byte; none without a floor.
        bare: The arguments of the bare loop that is the floor instead.
        only_ours: What is served by hayserve besides.
        needs: A module that these import; without it the scenario is left out.
        beside: Runs beside the servers, and gives them variables.
    """

    rows: tuple[Row, ...]
    wrappers: tuple[str, ...]
    measure: Callable[[Server, float], Figures]
    first: Callable[[Server], Calls] | None = None
    recorded: Callable[[Server], Calls] | None = None
    bare: tuple[str, ...] = ()
    only_ours: tuple[str, ...] = ()
    needs: str = ""
    beside: Callable[[], AbstractContextManager[Mapping[str, str]]] | None = None


@dataclass(frozen=True, slots=True)
class Fresh:
    """A scenario that starts what it measures itself, in every round."""

    rows: tuple[Row, ...]
    measure: Callable[[Kind, Path, float], Figures]


Scenario = Standing | Fresh
