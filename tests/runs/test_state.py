"""The state of a run goes to other workers and to people as JSON."""

import json

from hayserve.runs.state import RunState
from runs.company import state


def test_a_state_can_be_sent() -> None:
    run = state("a", age=1.5, deadline_in_seconds=-0.25, stage="tool: search", cancelled=True)
    assert RunState.from_fields(json.loads(json.dumps(run.as_fields()))) == run


def test_times_are_said_to_the_millisecond() -> None:
    said = state("a", age=0.123456, deadline_in_seconds=9.87654).as_fields()
    assert (said["age_seconds"], said["deadline_in_seconds"]) == (0.123, 9.877)
    assert state("a").as_fields()["deadline_in_seconds"] is None


def test_what_a_later_program_adds_is_left_out() -> None:
    assert RunState.from_fields({**state("a").as_fields(), "mood": "good"}) == state("a")
