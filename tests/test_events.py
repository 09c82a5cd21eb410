"""The words for what happens during a run."""

from dataclasses import FrozenInstanceError, is_dataclass
from typing import get_args

import pytest

from hayserve import events
from hayserve.events import Closing, Delta, Event, RunCancelled, TextDelta, Usage


def test_every_event_is_in_the_union_once() -> None:
    defined = {
        thing
        for thing in vars(events).values()
        if isinstance(thing, type)
        and is_dataclass(thing)
        and thing.__name__ not in {"Usage", "Citation"}
    }
    assert set(get_args(Event)) == defined
    assert set(get_args(Closing)).isdisjoint(get_args(Delta))
    assert set(get_args(Event)) - set(get_args(Closing)) - set(get_args(Delta)) == {
        events.StreamOpened
    }


def test_an_event_does_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        TextDelta("a").text = "b"  # pyright: ignore[reportAttributeAccessIssue] - what is tested


def test_usage_is_added_field_by_field() -> None:
    total = Usage(1, 2, 3, 4) + Usage(10, 20, 30, 40)
    assert total == Usage(11, 22, 33, 44)
    assert total.total_tokens == 33


def test_a_run_is_cancelled_for_a_reason() -> None:
    assert RunCancelled().reason == "cancelled"
