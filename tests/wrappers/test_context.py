"""What a run tells the code that it calls."""

from hayserve.events import Usage
from hayserve.wrappers.context import RunContext, current_run


def test_outside_of_a_run_there_is_none() -> None:
    assert current_run.get() is None


def test_the_stage_is_the_last_that_was_entered_and_goes_on() -> None:
    context = RunContext("1")
    assert context.stage == "running"
    with context.in_stage("component: a"):
        assert context.stage == "component: a"
        with context.in_stage(None), context.in_stage("model"):
            assert context.stage == "model"
        assert context.stage == "component: a"
    assert context.stage == "running"


def test_usage_is_added_up() -> None:
    context = RunContext("1")
    assert context.usage is None
    context.add_usage(Usage(1, 2))
    context.add_usage(Usage(3, 4))
    assert context.usage == Usage(4, 6)
