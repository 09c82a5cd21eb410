"""Measures how fast hayserve is, beside Hayhooks and above a floor, and prints the table.

python -m benchmarks                      # everything; writes docs/benchmarks.md and .svg
python -m benchmarks --only agent-async   # the rows with this in their name
python -m benchmarks --quick              # one short round: whether all of it works
python -m benchmarks --list               # the names of the rows
"""

import argparse
import os
import signal
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.document import conditions, write
from benchmarks.everything import scenarios
from benchmarks.rounds import Result, results
from benchmarks.scenario import Scenario
from benchmarks.servers import hayhooks, hayserve, installed_hayhooks
from benchmarks.sides import Contestants
from benchmarks.table import TITLES, cells, failures, line


@dataclass(frozen=True, slots=True)
class Wish:
    """What the command line asked for."""

    only: tuple[str, ...]
    rounds: int
    seconds: float
    source: Path | None
    writes: bool


def chosen(only: Sequence[str]) -> Iterator[Scenario]:
    """The scenarios that have a row with one of these words in its name; all without any."""
    for scenario in scenarios():
        if not only or any(word in row.name for row in scenario.rows for word in only):
            yield scenario


def measured(wish: Wish, contestants: Contestants) -> Iterator[Result]:
    """Measure, row by row."""
    for scenario in chosen(wish.only):
        with tempfile.TemporaryDirectory() as folder:
            yield from results(
                scenario, contestants, Path(folder), rounds=wish.rounds, seconds=wish.seconds
            )


def show(found: Iterator[Result]) -> list[Result]:
    """Print the table as it grows; gives all of it."""
    shown: list[Result] = []
    said: set[str] = set()
    print(line(TITLES), flush=True)
    for result in found:
        shown.append(result)
        print(line(cells(result)), flush=True)
        for failure in failures(result):
            if failure not in said:
                print(f"  ! {failure}", flush=True)
                said.add(failure)
    return shown


def asked() -> Wish | None:
    """What the command line asks for; None if it only asks for the names."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each measurement")
    parser.add_argument("--only", action="append", default=[], metavar="PATTERN")
    parser.add_argument("--quick", action="store_true", help="one round of a second each")
    parser.add_argument("--source", type=Path, help="another checkout of hayserve to measure")
    parser.add_argument("--list", action="store_true", help="print the names of the rows")
    given = parser.parse_args()
    if given.list:
        return None
    return Wish(
        only=tuple(given.only),
        rounds=1 if given.quick else given.rounds,
        seconds=1.0 if given.quick else given.seconds,
        source=given.source,
        writes=not (given.only or given.quick or given.source),
    )


def main() -> None:
    wish = asked()
    if wish is None:
        print(*(row.name for scenario in scenarios() for row in scenario.rows), sep="\n")
        return
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the servers are stopped then, too
    if (busy := os.getloadavg()[0]) > 1:
        print(f"Other programs are at work here (load {busy:.1f}): expect noise, except in CPU.")
    contestants = (hayserve(wish.source), hayhooks(installed_hayhooks()))
    shown = show(measured(wish, contestants))
    if wish.writes:
        write(shown, conditions(contestants, rounds=wish.rounds, seconds=wish.seconds))


if __name__ == "__main__":
    main()
