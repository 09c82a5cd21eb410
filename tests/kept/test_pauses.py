"""Turns of agents that wait for their clients."""

from hayserve.kept.pauses import Pause, Pauses
from hayserve.storage.database import Database
from kept.conftest import Clock


def kept(database: Database, clock: Clock) -> Pauses:
    return Pauses(database, keep_seconds=60, clock=clock)


def test_a_turn_is_found_by_its_key(database: Database, clock: Clock) -> None:
    pauses = kept(database, clock)

    pauses.add("a", {"calls": ["x"]}, owner="me", deployment="agent")

    assert pauses.find("a", owner="me") == Pause("agent", {"calls": ["x"]})
    assert pauses.find("b", owner="me") is None


def test_a_turn_is_its_owners_alone(database: Database, clock: Clock) -> None:
    pauses = kept(database, clock)

    pauses.add("a", {}, owner="me", deployment="agent")

    assert pauses.find("a", owner="you") is None


def test_a_turn_expires_and_is_deleted(database: Database, clock: Clock) -> None:
    pauses = kept(database, clock)
    pauses.add("a", {}, owner="me", deployment="agent")
    clock.now += 30
    pauses.add("b", {}, owner="me", deployment="agent")

    clock.now += 30

    assert pauses.find("a", owner="me") is None
    assert pauses.purge() == 1
    assert pauses.find("b", owner="me") == Pause("agent", {})
