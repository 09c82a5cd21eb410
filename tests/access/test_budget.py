"""How much a key may use."""

from typing import Any

import pytest

from hayserve.access.budget import NO_BUDGET, Budget
from hayserve.errors import InvalidRequest


def test_without_a_limit_there_is_none() -> None:
    assert not NO_BUDGET
    assert Budget.of({}) == NO_BUDGET
    assert Budget.of({"tokens_per_day": None}) == NO_BUDGET
    assert NO_BUDGET.as_fields() == {}


def test_limits_are_kept_by_name() -> None:
    given = {"requests_per_minute": 60, "tokens_per_day": 10**15}
    budget = Budget.of({**given, "concurrent_runs": None})
    assert budget
    assert budget == Budget(requests_per_minute=60, tokens_per_day=10**15)
    assert budget.as_fields() == given


@pytest.mark.parametrize("value", [0, -1, 10**15 + 1, 1.0, "1", True, False, []])
def test_a_limit_is_a_whole_number_from_1_up(value: Any) -> None:
    with pytest.raises(InvalidRequest, match="'concurrent_runs' is") as refused:
        Budget.of({"concurrent_runs": value})
    assert refused.value.param == "budget"


def test_an_unknown_limit_is_refused_and_the_known_ones_named() -> None:
    with pytest.raises(InvalidRequest, match="There is no budget 'tokens'") as refused:
        Budget.of({"tokens": 1})
    assert "requests_per_minute, concurrent_runs, tokens_per_day" in refused.value.hint
