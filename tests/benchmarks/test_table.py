"""The table of the figures."""

import pytest

from benchmarks.rounds import Result, result
from benchmarks.scenario import Row
from benchmarks.servers import Failed
from benchmarks.sides import OURS, THEIRS, UNDER, Side
from benchmarks.table import cells, failures, line, markdown, number

RATE = Row("agent-async", "Agent, async, streamed", "tokens/s")
TIME = Row("paced-sync-128", "128 streams", "x ideal", "over", more_is_better=False)


@pytest.mark.parametrize(
    ("value", "said"),
    [(12345.6, "12,346"), (123.4, "123"), (12.34, "12.3"), (1.234, "1.23"), (0.0123, "0.01")],
)
def test_a_figure_has_the_digits_that_are_worth_reading(value: float, said: str) -> None:
    assert number(value) == said


def test_a_row_tells_both_servers_their_ratio_and_what_is_asked_for() -> None:
    row = Result(RATE, {OURS: 4000.0, THEIRS: 1000.0, UNDER: 9000.0})

    assert cells(row)[1:] == ("tokens/s", "4,000", "1,000", "4.0x", "3x", "9,000", "yes")


def test_less_may_be_better() -> None:
    row = Result(TIME, {OURS: 1.25, THEIRS: 2.5})

    assert cells(row)[2:] == ("1.25", "2.50", "2.0x", "<= 1.05", "", "NO")


def test_a_side_that_failed_has_no_figure_but_a_reason() -> None:
    row = Result(RATE, {OURS: 4000.0, THEIRS: None}, {THEIRS: "2 x status 500"})

    assert cells(row)[3:5] == ("failed", "")
    assert row.is_reached is None
    assert failures(row) == ["Agent, async, streamed: hayhooks: 2 x status 500"]


def test_nothing_is_reached_by_a_server_that_failed() -> None:
    assert Result(RATE, {OURS: 4000.0, THEIRS: 1.0}, {OURS: "1 x status 500"}).is_reached is False


def test_the_columns_of_the_text_lie_below_each_other() -> None:
    lines = [line(cells(Result(RATE, {OURS: ours, THEIRS: 1.0}))) for ours in (1.0, 10000.0)]

    assert {one.index("3x") for one in lines} == {lines[0].index("3x")}


def test_markdown_tells_what_failed_once() -> None:
    cpu = Row("agent-async-cpu", f"{RATE.title}: CPU", "us/token", "cpu", more_is_better=False)
    failed = {THEIRS: "2 x status 500"}
    said = markdown([Result(RATE, {OURS: 1.0}, failed), Result(cpu, {OURS: 1.0}, failed)])

    assert said.splitlines()[1] == "| --- | --- | ---: | ---: | ---: | ---: | ---: | --- |"
    assert said.count("status 500") == 1


def test_the_median_of_the_rounds_counts() -> None:
    figures = iter([1.0, 9.0, 2.0])
    side = Side(OURS, lambda: {"rate": next(figures)})
    for _ in range(3):
        side.round()

    assert result(RATE, [side]).medians == {OURS: 2.0}
    assert result(TIME, [side]).medians == {OURS: None}


def test_a_side_that_fails_twice_is_given_up_and_has_no_figure() -> None:
    def measure() -> dict[str, float]:
        if len(side.figures) == 1:
            raise Failed("status 500")
        return {"rate": 1.0}

    restarts: list[int] = []
    side = Side(THEIRS, measure, lambda: restarts.append(1))
    for _ in range(5):
        side.round()

    found = result(RATE, [side])
    assert found.medians == {THEIRS: None}
    assert found.failures == {THEIRS: "2 x status 500"}
    assert restarts == [1, 1]


def test_a_side_that_does_not_get_up_again_is_given_up() -> None:
    def measure() -> dict[str, float]:
        raise Failed("lost")

    def again() -> None:
        raise Failed("does not start")

    side = Side(THEIRS, measure, again)
    side.round()

    assert side.is_given_up
