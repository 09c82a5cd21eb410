"""Chat completions are found among the responses that are kept, on SQLite and on PostgreSQL."""

from collections.abc import Mapping
from typing import Any

import pytest

from hayserve.kept.completions import Completions
from hayserve.kept.responses import Kept, Responses
from hayserve.storage.database import Database
from kept.conftest import Clock

KEEP_SECONDS = 100


@pytest.fixture
def responses(database: Database, clock: Clock) -> Responses:
    return Responses(database, keep_seconds=KEEP_SECONDS, clock=clock)


@pytest.fixture
def completions(database: Database, clock: Clock) -> Completions:
    return Completions(database, clock=clock)


def kept(id_: str, *, owner: str = "me", **body: Any) -> Kept:
    whole: dict[str, Any] = {"id": id_, "object": "chat.completion", "metadata": {}, **body}
    return Kept(id_, owner, "r1", "w1", None, None, input=[], body=whole, has_ended=True)


def ids(completions: Completions, owner: str = "me", **asked: Any) -> list[str] | None:
    wishes: dict[str, Any] = {"wanted": bool, "limit": 10, **asked}
    found = completions.some(owner, **wishes)
    return None if found is None else [each["id"] for each in found]


def test_completions_are_listed_in_the_order_in_which_they_were_made(
    responses: Responses, completions: Completions, clock: Clock
) -> None:
    for id_ in "bda":  # at the same time
        responses.add(kept(id_))
    clock.now += 1
    responses.add(kept("c"))
    assert ids(completions) == ["a", "b", "d", "c"]
    assert ids(completions, is_ascending=False) == ["c", "d", "b", "a"]
    assert ids(completions, limit=2) == ["a", "b"]
    assert ids(completions, limit=2, after="b") == ["d", "c"]
    assert ids(completions, after="b", is_ascending=False) == ["a"]
    assert ids(completions, after="c") == []
    assert ids(completions, after="nobody") is None


def test_only_the_owners_completions_are_found(
    responses: Responses, completions: Completions, clock: Clock
) -> None:
    responses.add(kept("mine"))
    responses.add(kept("yours", owner="you"))
    responses.add(kept("resp_1", object="response"))
    assert ids(completions) == ["mine"]
    assert ids(completions, after="yours") is None
    assert ids(completions, after="resp_1") is None
    clock.now += KEEP_SECONDS
    assert ids(completions) == []


def test_those_that_are_not_wanted_are_passed_over(
    responses: Responses, completions: Completions
) -> None:
    for number in range(5):
        responses.add(kept(str(number), model="odd" if number % 2 else "even"))

    def is_even(body: Mapping[str, Any]) -> bool:
        return body["model"] == "even"

    assert ids(completions, wanted=is_even, limit=2) == ["0", "2"]
    assert ids(completions, wanted=is_even, limit=2, after="2") == ["4"]


def test_what_is_noted_is_replaced(responses: Responses, completions: Completions) -> None:
    responses.add(kept("mine", metadata={"topic": "x"}, model="it"))
    noted = completions.note("mine", {"name": "y"}, owner="me")
    assert noted == kept("mine", metadata={"name": "y"}, model="it").body
    found = responses.find("mine", owner="me")
    assert found is not None
    assert found.body == noted


def test_nothing_is_noted_of_what_is_not_the_owners_completion(
    responses: Responses, completions: Completions
) -> None:
    responses.add(kept("mine"))
    responses.add(kept("resp_1", object="response"))
    assert completions.note("mine", {"name": "y"}, owner="you") is None
    assert completions.note("resp_1", {"name": "y"}, owner="me") is None
    found = responses.find("mine", owner="me")
    assert found is not None
    assert found.body["metadata"] == {}
