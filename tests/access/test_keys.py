"""Keys are kept in a database, of both kinds."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import select

from access.conftest import Clock
from hayserve.access.budget import Budget
from hayserve.access.key import digest_of, shown_in
from hayserve.access.keys import Keys
from hayserve.errors import InvalidRequest, NameTaken, NotFound
from hayserve.storage.database import Database
from hayserve.storage.tables import keys as table


@pytest.fixture
def keys(database: Database, clock: Clock) -> Keys:
    return Keys(database, clock=clock)


def test_a_key_is_found_again_as_it_was_made(keys: Keys, clock: Clock) -> None:
    budget = Budget(requests_per_minute=60)
    made, text = keys.create(
        "web", scopes=["run:a", "deploy", "deploy"], budget=budget, expires_in=60, by="me"
    )
    assert keys.all() == [made]
    assert (made.name, made.scopes, made.budget) == ("web", ("run:a", "deploy"), budget)
    assert (made.created_at, made.created_by) == (clock.now, "me")
    assert (made.expires_at, made.revoked_at, made.last_used_at) == (clock.now + 60, None, None)
    shown = shown_in(text)
    assert shown is not None
    assert made.is_opened_by(shown, now=clock.now)


def test_its_text_is_kept_nowhere(keys: Keys, database: Database) -> None:
    _, text = keys.create("web", scopes=["run"])
    with database.reading() as connection:
        row = connection.execute(select(table)).one()
    assert row.digest == digest_of(text)
    assert text not in str(row)
    assert text.split("_", 2)[2] not in str(row)


def test_a_name_is_taken_while_its_key_is_in_use(keys: Keys, clock: Clock) -> None:
    first, _ = keys.create("web", scopes=["run"], expires_in=60)
    with pytest.raises(NameTaken, match=first.prefix) as refused:
        keys.create("web", scopes=["admin"])
    assert refused.value.param == "name"
    clock.now += 60
    second, _ = keys.create("web", scopes=["run"])
    keys.revoke("web")
    third, _ = keys.create("web", scopes=["run"])
    assert len({first.id, second.id, third.id}) == 3
    assert len(keys.all()) == 3


def test_of_many_that_want_a_name_at_once_one_gets_it(keys: Keys) -> None:
    def wants(_: int) -> bool:
        try:
            keys.create("web", scopes=["run"])
        except NameTaken:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(wants, range(8))) == 1


def create(keys: Keys, name: str = "web", **given: Any) -> None:
    keys.create(name, scopes=given.pop("scopes", ["run"]), **given)


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({"name": "a/b"}, "name"),
        ({"scopes": []}, "scopes"),
        ({"scopes": ["fly"]}, "scopes"),
        ({"scopes": [f"run:{number}" for number in range(101)]}, "scopes"),
        ({"expires_in": 0}, "expires_in"),
        ({"expires_in": -1}, "expires_in"),
        ({"expires_in": float("nan")}, "expires_in"),
        ({"expires_in": float("inf")}, "expires_in"),
    ],
)
def test_what_cannot_be_used_is_refused_and_nothing_is_made(
    keys: Keys, given: dict[str, Any], param: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        create(keys, **given)
    assert refused.value.param == param
    assert keys.all() == []


def test_a_rotated_key_has_a_new_text_and_is_otherwise_the_same(keys: Keys, clock: Clock) -> None:
    made, first = keys.create("web", scopes=["run"], by="me")
    rotated, second = keys.rotate("web")
    assert keys.all() == [rotated]
    assert (rotated.id, rotated.scopes, rotated.created_by) == (made.id, made.scopes, "me")
    old, new = shown_in(first), shown_in(second)
    assert old is not None
    assert new is not None
    assert rotated.is_opened_by(new, now=clock.now)
    assert not rotated.is_opened_by(old, now=clock.now)


def test_the_old_text_is_accepted_for_as_long_as_is_said(keys: Keys, clock: Clock) -> None:
    _, first = keys.create("web", scopes=["run"])
    rotated, _ = keys.rotate("web", keep_old=60)
    old = shown_in(first)
    assert old is not None
    assert rotated.is_opened_by(old, now=clock.now + 59)
    assert not rotated.is_opened_by(old, now=clock.now + 60)
    for keep_old in (-1.0, float("nan")):
        with pytest.raises(InvalidRequest) as refused:
            keys.rotate("web", keep_old=keep_old)
        assert refused.value.param == "keep_old"


def test_a_revoked_key_is_kept_as_such(keys: Keys, clock: Clock) -> None:
    keys.create("web", scopes=["run"])
    assert keys.any_in_use()
    revoked = keys.revoke("web")
    assert revoked.revoked_at == clock.now
    assert keys.all() == [revoked]
    assert not keys.any_in_use()


@pytest.mark.parametrize("name", ["web", "gone", "..", "\0", "\udcff"])
def test_what_is_not_in_use_can_be_neither_rotated_nor_revoked(keys: Keys, name: str) -> None:
    keys.create("gone", scopes=["run"])
    keys.revoke("gone")
    with pytest.raises(NotFound, match="in use"):
        keys.rotate(name)
    with pytest.raises(NotFound, match="in use"):
        keys.revoke(name)


def test_each_change_has_a_version_and_a_use_is_none(keys: Keys) -> None:
    versions = [keys.version()]
    made, _ = keys.create("web", scopes=["run"])
    versions.append(keys.version())
    keys.create("app", scopes=["run"])
    versions.append(keys.version())
    keys.rotate("web")
    versions.append(keys.version())
    keys.revoke("web")
    versions.append(keys.version())
    keys.note_use({made.id: 1.0})
    assert versions == [0, 1, 2, 3, 4]
    assert keys.version() == 4


def test_the_last_use_is_noted_and_never_an_earlier_one(keys: Keys, clock: Clock) -> None:
    one, _ = keys.create("one", scopes=["run"])
    clock.now += 1
    other, _ = keys.create("other", scopes=["run"])
    keys.note_use({one.id: 10.0, other.id: 20.0, "nobody": 30.0})
    keys.note_use({one.id: 9.0, other.id: 21.0})
    assert [key.last_used_at for key in keys.all()] == [10.0, 21.0]
    rotated, _ = keys.rotate("one")
    assert rotated.last_used_at == 10.0
