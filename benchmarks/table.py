"""The table of the figures, as text that grows line by line and as Markdown."""

from collections.abc import Sequence

from benchmarks.rounds import Result
from benchmarks.sides import OURS, THEIRS, UNDER

TITLES = ("scenario", "unit", "hayserve", "hayhooks", "ratio", "asked for", "floor", "")
WIDTHS = (58, 11, 11, 11, 8, 12, 10, 3)


def line(cells: tuple[str, ...]) -> str:
    """A line of the text."""
    padded = (
        cell.ljust(width) if number < 2 else cell.rjust(width)
        for number, (cell, width) in enumerate(zip(cells, WIDTHS, strict=True))
    )
    return "  ".join(padded).rstrip()


def cells(result: Result) -> tuple[str, ...]:
    """What the table says of a row."""
    row = result.row
    ratio = result.ratio
    return (
        row.title,
        row.unit,
        _figure(result, OURS),
        _figure(result, THEIRS),
        "" if ratio is None else f"{ratio:.1f}x" if ratio < 100 else f"{ratio:.0f}x",
        str(row.goal or ""),
        _figure(result, UNDER),
        {True: "yes", False: "NO", None: ""}[result.is_reached],
    )


def number(value: float) -> str:
    """A figure with three digits that count, and no more than are worth reading."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def markdown(results: Sequence[Result]) -> str:
    """The whole table as Markdown, with what failed below it."""
    titles = ("", *TITLES[1:-1], "reached")
    lines = [titles, ("---", "---", *["---:"] * 5, "---"), *map(cells, results)]
    table = "\n".join("| " + " | ".join(one) + " |" for one in lines)
    failed = dict.fromkeys(f"- {one}" for result in results for one in failures(result))
    return "\n".join([table, *(["", "What failed:", "", *failed] if failed else [])])


def failures(result: Result) -> list[str]:
    """What went wrong in a row, in words."""
    return [
        f"{result.row.title.partition(':')[0]}: {side}: {why}"
        for side, why in result.failures.items()
    ]


def _figure(result: Result, side: str) -> str:
    value = result.medians.get(side)
    if value is not None:
        return number(value)
    return "failed" if side in result.failures else ""
