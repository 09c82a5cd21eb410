"""Measures how fast hayserve is, beside Hayhooks and above a floor, and prints the table.

python -m benchmarks                      # everything; writes docs/benchmarks.md and .svg
python -m benchmarks --only agent-async   # some rows
python -m benchmarks --quick              # one short round: whether all of it works
"""

import argparse
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.everything import scenarios
from benchmarks.rounds import Result, results
from benchmarks.scenario import Scenario
from benchmarks.servers import hayhooks, hayserve, installed_hayhooks
from benchmarks.table import TITLES, cells, failures, line


def chosen(only: list[str]) -> Iterator[Scenario]:
    """The scenarios that have a row with one of these words in its name; all without any."""
    for scenario in scenarios():
        if not only or any(word in row.name for row in scenario.rows for word in only):
            yield scenario


def measured(
    only: list[str], *, source: Path | None, rounds: int, seconds: float
) -> Iterator[Result]:
    """Measure, row by row."""
    contestants = (hayserve(source), hayhooks(installed_hayhooks()))
    for scenario in chosen(only):
        with tempfile.TemporaryDirectory() as folder:
            yield from results(scenario, contestants, Path(folder), rounds=rounds, seconds=seconds)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement")
    parser.add_argument("--only", action="append", default=[], metavar="PATTERN")
    parser.add_argument("--quick", action="store_true", help="one round of a second each")
    parser.add_argument("--source", type=Path, help="another checkout of hayserve to measure")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the servers are stopped then, too
    rounds, seconds = (1, 1.0) if given.quick else (given.rounds, given.seconds)
    print(line(TITLES), flush=True)
    said: set[str] = set()
    for result in measured(given.only, source=given.source, rounds=rounds, seconds=seconds):
        print(line(cells(result)), flush=True)
        for failure in failures(result):
            if failure not in said:
                print(f"  ! {failure}", flush=True)
            said.add(failure)


if __name__ == "__main__":
    main()
