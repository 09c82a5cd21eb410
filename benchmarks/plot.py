"""Draws the figures as SVG: bars of how many times faster, and lines of how much slower."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape

WIDTH = 860
LEFT, RIGHT = 330, 70
ROW, BAR = 20, 13
TITLE, AXIS = 44, 34
CHART = 240
OURS, THEIRS, ASKED, INK, GRID = "#0f766e", "#9ca3af", "#b45309", "#1f2937", "#e5e7eb"


@dataclass(frozen=True, slots=True)
class Bar:
    """How many times better a row is, and what is asked for."""

    label: str
    value: float
    asked: float | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """A figure over a number of streams."""

    label: str
    points: Mapping[int, float]
    is_ours: bool = True
    is_dashed: bool = False


@dataclass(frozen=True, slots=True)
class Scale:
    """Maps figures to places, by their logarithm."""

    low: float
    high: float
    begin: float
    end: float

    def at(self, value: float) -> float:
        inside = min(max(value, self.low), self.high)
        share = math.log(inside / self.low) / math.log(self.high / self.low)
        return round(self.begin + share * (self.end - self.begin), 1)

    def ticks(self) -> list[float]:
        """1, 2 and 5 times the powers of ten that are on it."""
        powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        ticks = [digit * 10.0**power for power in powers for digit in (1, 2, 5)]
        return [tick for tick in ticks if self.low <= tick <= self.high * 1.0001]


def svg(bars: Sequence[Bar], lines: Sequence[Line]) -> str:
    """The whole picture."""
    middle = TITLE + ROW * len(bars) + AXIS
    height = middle + (TITLE + CHART + AXIS + 20 if lines else 0)
    drawn = [*_bars(bars), *(_lines(lines, top=middle) if lines else ())]
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'font-family="sans-serif" font-size="12" fill="{INK}">'
    )
    paper = f'<rect width="{WIDTH}" height="{height}" fill="white"/>'
    return "\n".join([head, paper, *drawn, "</svg>\n"])


def _text(place: tuple[float, float], text: str, *, anchor: str = "start", more: str = "") -> str:
    x, y = place
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}"{more}>{escape(text)}</text>'


def _rule(start: tuple[float, float], end: tuple[float, float], *, color: str) -> str:
    return (
        f'<line x1="{start[0]}" y1="{start[1]}" x2="{end[0]}" y2="{end[1]}" '
        f'stroke="{color}" stroke-width="{1 if color == GRID else 2}"/>'
    )


def _bars(bars: Sequence[Bar]) -> Iterator[str]:
    """A bar for each row from 1, where Hayhooks is; a mark is what is asked for."""
    figures = [figure for bar in bars for figure in (bar.value, bar.asked or 1)]
    scale = Scale(min([0.8, *figures]), max([2, *figures]) * 1.05, LEFT, WIDTH - RIGHT)
    bottom = TITLE + ROW * len(bars)
    title = "How many times as fast as Hayhooks; the marks are what is asked for"
    yield _text((10, 22), title, more=' font-weight="bold"')
    for tick in scale.ticks():
        yield _rule((scale.at(tick), TITLE - 8), (scale.at(tick), bottom), color=GRID)
        yield _text((scale.at(tick), bottom + 16), f"{tick:g}x", anchor="middle")
    for number, bar in enumerate(bars):
        y = TITLE + ROW * number
        begin, end = sorted((scale.at(1), scale.at(bar.value)))
        color = OURS if bar.value >= (bar.asked or 1) else ASKED
        yield _text((LEFT - 8, y + BAR - 2), bar.label, anchor="end")
        yield (
            f'<rect x="{begin}" y="{y}" width="{round(end - begin, 1)}" height="{BAR}" '
            f'fill="{color}"/>'
        )
        yield _text((end + 5, y + BAR - 2), f"{bar.value:.1f}x")
        if bar.asked is not None:
            mark = scale.at(bar.asked)
            yield _rule((mark, y - 2), (mark, y + BAR + 2), color=INK)


def _lines(lines: Sequence[Line], *, top: float) -> Iterator[str]:
    """How long answers take over the ideal, for a number of streams at once."""
    counts = sorted({count for line in lines for count in line.points})
    figures = [figure for line in lines for figure in line.points.values()]
    begin, bottom = top + TITLE, top + TITLE + CHART
    across = Scale(counts[0], max(counts[-1], counts[0] * 2), 60, WIDTH - 190)
    down = Scale(min([1, *figures]), max([2, *figures]) * 1.1, bottom, begin)
    title = "Median time of an answer over the ideal, at 10 ms per token, by streams at once"
    yield _text((10, top + 22), title, more=' font-weight="bold"')
    for tick in down.ticks():
        yield _rule((60, down.at(tick)), (WIDTH - 190, down.at(tick)), color=GRID)
        yield _text((52, down.at(tick) + 4), f"{tick:g}x", anchor="end")
    for count in counts:
        yield _text((across.at(count), bottom + 18), str(count), anchor="middle")
    ends: list[float] = []
    for line in sorted(lines, key=lambda line: line.points[max(line.points)]):
        places = [(across.at(count), down.at(line.points[count])) for count in sorted(line.points)]
        path = " ".join(f"{x},{y}" for x, y in places)
        dashes = ' stroke-dasharray="6 4"' if line.is_dashed else ""
        color = OURS if line.is_ours else THEIRS
        yield f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2"{dashes}/>'
        y = min([places[-1][1] + 4, *(end - 14 for end in ends)])
        ends.append(y)
        yield _text((places[-1][0] + 8, y), line.label)
