"""What is asked for."""

import pytest

from benchmarks.everything import scenarios
from benchmarks.targets import GOALS, Goal, Measure


@pytest.mark.parametrize(
    ("goal", "ours", "is_reached", "said"),
    [
        (Goal(8), 1, True, "8x"),
        (Goal(9), 1, False, "9x"),
        (Goal(256, Measure.AT_LEAST), 256, True, ">= 256"),
        (Goal(5.1, Measure.AT_MOST), 5.2, False, "<= 5.1"),
        (Goal(1.6, Measure.OVER_FLOOR), 16, True, "floor x 1.6"),
    ],
)
def test_a_goal_is_about_the_ratio_our_figure_or_the_floor(
    goal: Goal, ours: float, *, is_reached: bool, said: str
) -> None:
    assert goal.is_reached(ours, ratio=8.5, floor=10) is is_reached
    assert str(goal) == said


def test_nobody_knows_without_the_other_figure() -> None:
    assert Goal(8).is_reached(1, ratio=None, floor=None) is None
    assert Goal(1.6, Measure.OVER_FLOOR).is_reached(1, ratio=None, floor=None) is None


def test_every_goal_has_a_row_and_every_row_a_name_of_its_own() -> None:
    names = [row.name for scenario in scenarios() for row in scenario.rows]

    assert {*GOALS} <= {*names}
    assert len({*names}) == len(names)
