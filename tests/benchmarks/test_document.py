"""The figures in the documentation."""

import pytest

from benchmarks.document import BEGIN, END, PAGE, bars, lines, with_figures
from benchmarks.plot import Bar, Line
from benchmarks.rounds import Result
from benchmarks.scenario import Row
from benchmarks.sides import OURS, THEIRS

RATE = Row("agent-async", "Agent", "tokens/s")
CPU = Row("agent-async-cpu", "Agent: CPU", "us/token", "cpu", more_is_better=False)
PACED = Row("paced-sync-128", "128 streams", "x ideal", "over", more_is_better=False)


def test_new_figures_replace_the_old_ones() -> None:
    page = f"# Speed\n\n{BEGIN}\nold\n{END}\n\nMore.\n"

    new = with_figures(page, "new")
    assert new == f"# Speed\n\n{BEGIN}\n\nnew\n\n{END}\n\nMore.\n"
    assert with_figures(new, "new") == new


def test_a_page_without_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="write between"):
        with_figures("# Speed", "new")


def test_the_page_has_the_marks() -> None:
    assert "new" in with_figures(PAGE.read_text(), "new")


def test_rates_become_bars_and_paced_streams_lines() -> None:
    results = [
        Result(RATE, {OURS: 8.0, THEIRS: 2.0}),
        Result(CPU, {OURS: 8.0, THEIRS: 2.0}),
        Result(PACED, {OURS: 1.0, THEIRS: 2.5}),
    ]

    assert [*bars(results)] == [Bar("Agent", 4.0, 3)]
    assert [*lines(results)] == [
        Line("hayserve, sync", {128: 1.0}, is_ours=True, is_dashed=True),
        Line("hayhooks, sync", {128: 2.5}, is_ours=False, is_dashed=True),
    ]
