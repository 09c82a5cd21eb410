from types import MappingProxyType

import pytest

from hayserve.errors import InvalidRequest
from hayserve.wrappers.run_limits import RunLimits

NAMES = ["max_runs", "max_waiting", "run_timeout", "max_body_mb", "max_upload_mb"]


def test_what_was_written_down_is_what_is_set() -> None:
    said = {"max_runs": 4, "max_waiting": 0, "run_timeout": 1.5, "max_body_mb": 1}
    limits = RunLimits.of(MappingProxyType(said))
    assert limits == RunLimits(max_runs=4, max_waiting=0, run_timeout=1.5, max_body_mb=1)
    assert limits.as_fields() == said
    assert RunLimits.of({"max_runs": None}) == RunLimits.of({}) == RunLimits()
    assert RunLimits().as_fields() == {}


def test_each_limit_is_the_first_that_is_set() -> None:
    deploy = RunLimits(max_runs=4, run_timeout=0)
    wrapper = RunLimits(max_runs=8, run_timeout=60, max_upload_mb=0.5)
    assert deploy.merged_over(wrapper) == RunLimits(max_runs=4, run_timeout=0, max_upload_mb=0.5)
    assert RunLimits().merged_over(wrapper) == wrapper
    assert wrapper.merged_over(RunLimits()) == wrapper


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_runs", 0),
        ("max_runs", 4.0),
        ("max_runs", "4"),
        ("max_runs", True),
        ("max_runs", 10**400),
        ("max_waiting", -1),
        ("run_timeout", -0.1),
        ("run_timeout", float("nan")),
        ("run_timeout", float("inf")),
        ("max_body_mb", 0),
        ("max_upload_mb", [1]),
    ],
)
def test_a_value_that_cannot_be_that_limit_is_refused(name: str, value: object) -> None:
    with pytest.raises(InvalidRequest, match=f"The limit '{name}' is a .*, not ") as refused:
        RunLimits.of({"max_runs": 1, name: value})
    assert refused.value.param == f"limits.{name}"
    assert len(refused.value.message) < 120


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("max_run", "Did you mean 'max_runs'?"),
        (
            "colour",
            f"The limits are {', '.join(map(repr, sorted(NAMES)))}.",
        ),
    ],
)
def test_of_a_name_that_is_no_limit_it_is_said_what_was_meant(name: str, hint: str) -> None:
    with pytest.raises(InvalidRequest, match=f"There is no limit '{name}'") as refused:
        RunLimits.of({name: 1})
    assert (refused.value.hint, refused.value.param) == (hint, f"limits.{name}")


def test_what_is_no_mapping_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="Limits are numbers by name") as refused:
        RunLimits.of([("max_runs", 4)])
    assert "'max_runs', 'max_waiting'" in refused.value.hint
