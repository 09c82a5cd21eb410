"""How parameters are read that nobody here knows the types of."""

from typing import Any

import pytest
import typer

from hayserve.cli.wishes import limits_in, parameters_in
from hayserve.wrappers.run_limits import RunLimits


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", "3"),
        ("007", "007"),
        ("", ""),
        ("a=b", "a=b"),
        ("true", True),
        ("null", None),
        ("[1]", [1]),
        ('{"a": 1}', {"a": 1}),
        ("[a]", "[a]"),
        ("[", "["),
    ],
)
def test_only_what_is_json_beyond_doubt_is_json(text: str, value: Any) -> None:
    assert parameters_in([f"k={text}"]) == {"k": value}


def test_limits_are_numbers() -> None:
    limits = limits_in(["max_runs=4", "run_timeout=0.5", "max_runs=8"])
    assert limits == RunLimits(max_runs=8, run_timeout=0.5)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("max_runs", "max_runs"),
        ("max_runs=four", "a whole number from 1, not 'four'"),
        ("max_run=4", "Did you mean 'max_runs'?"),
    ],
)
def test_a_limit_that_cannot_be_used_is_refused_before_anything_is_sent(
    text: str, said: str
) -> None:
    with pytest.raises(typer.BadParameter) as refused:
        limits_in([text])
    assert said in refused.value.message
