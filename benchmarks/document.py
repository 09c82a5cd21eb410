"""Writes the table and the plot into the documentation."""

import os
import platform
import re
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from benchmarks.plot import Bar, Line, svg
from benchmarks.rounds import Result
from benchmarks.servers import ROOT, Kind
from benchmarks.sides import OURS, THEIRS
from benchmarks.table import markdown
from benchmarks.targets import Measure

PAGE = ROOT / "docs" / "benchmarks.md"
PLOT = ROOT / "docs" / "benchmarks.svg"
BEGIN, END = "<!-- figures -->", "<!-- end of figures -->"
_PACED = re.compile(r"paced-(\w+)-(\d+)")


def write(results: Sequence[Result], conditions: str) -> None:
    """Put the figures where the old ones were."""
    figures = f"{conditions}\n\n{markdown(results)}"
    PAGE.write_text(with_figures(PAGE.read_text(), figures))
    PLOT.write_text(svg([*bars(results)], [*lines(results)]))


def with_figures(page: str, figures: str) -> str:
    """The page with other figures between its marks."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"The page has no {BEGIN} … {END} to write between.")
    return f"{before}{BEGIN}\n\n{figures}\n\n{END}{after}"


def bars(results: Sequence[Result]) -> Iterator[Bar]:
    """What is a rate, over that of Hayhooks."""
    for result in results:
        if result.row.unit.endswith("/s") and result.ratio is not None:
            goal = result.row.goal
            asked = goal.value if goal and goal.measure is Measure.OVER_HAYHOOKS else None
            yield Bar(result.row.title, result.ratio, asked)


def lines(results: Sequence[Result]) -> Iterator[Line]:
    """What paced streams take, by how many there are."""
    points: dict[tuple[str, str], dict[int, float]] = {}
    for result in results:
        if paced := _PACED.fullmatch(result.row.name):
            for side in (OURS, THEIRS):
                if figure := result.medians.get(side):
                    points.setdefault((side, paced[1]), {})[int(paced[2])] = figure
    for (side, kind), figures in points.items():
        yield Line(f"{side}, {kind}", figures, is_ours=side == OURS, is_dashed=kind == "sync")


def conditions(contestants: tuple[Kind, Kind], *, rounds: int, seconds: float) -> str:
    """Where, with what and how often it was measured, in a sentence or two."""
    versions = ", ".join(
        f"{kind.label} {_version(kind, kind.label)} with Haystack {_version(kind, 'haystack-ai')}"
        for kind in contestants
    )
    return (
        f"Python {platform.python_version()}, {os.cpu_count()} cores ({_processor()}); {versions}. "
        f"Medians of {rounds} rounds of {seconds:g} s."
    )


def _version(kind: Kind, package: str) -> str:
    """As the Python beside its program knows it."""
    python = Path(kind.command[0]).parent / "python"
    code = f"from importlib.metadata import version; print(version({package!r}), end='')"
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout


def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()
