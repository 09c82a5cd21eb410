"""What the keys of a server leave open."""

from collections.abc import Sequence

import pytest

from hayserve.access.key import Key
from hayserve.cli.finding import Finding
from hayserve.cli.key_checkup import of_keys
from hayserve.protocols.admin.key_objects import key_entry

NOW = 1_000_000_000.0
DAY = 86_400


def key(
    name: str = "bob",
    *,
    scopes: Sequence[str] = ("run",),
    ends_in_days: float | None = 60,
    used_days_ago: float | None = 1,
    made_days_ago: float = 100,
    old_for_days: float = 0,
) -> Key:
    return Key(
        id="0123456789ab",
        name=name,
        digest="new",
        old_digest="old" if old_for_days else "",
        old_until=NOW + old_for_days * DAY,
        scopes=scopes,
        created_at=NOW - made_days_ago * DAY,
        last_used_at=None if used_days_ago is None else NOW - used_days_ago * DAY,
        expires_at=None if ends_in_days is None else NOW + ends_in_days * DAY,
    )


def found(*keys: Key, needs_one: bool = True) -> list[Finding]:
    entries = [key_entry(each, now=NOW) for each in keys]
    return [*of_keys(entries, now=NOW, needs_one=needs_one)]


def test_a_key_that_is_used_and_ends_one_day_is_as_it_should_be() -> None:
    assert found(key()) == [Finding("ok", "Keys that are in use: bob (run).")]


def test_where_others_reach_the_server_somebody_needs_a_key() -> None:
    (lacking,) = found()

    assert lacking.level == "warning"
    assert lacking.fix == "hayserve keys create NAME --scope run"
    assert [one.level for one in found(needs_one=False)] == ["ok"]


def test_whoever_may_do_everything_is_named() -> None:
    told = found(key("ops", scopes=["run", "admin"]), key())

    assert [one.what for one in told if one.level == "note"] == [
        "Whoever has one of these may do everything, make keys, too: ops (run admin)."
    ]


def test_a_key_that_never_ends_is_worse_the_more_it_allows() -> None:
    told = found(
        key("ci", scopes=["deploy"], ends_in_days=None), key("bob", ends_in_days=None), key("eve")
    )

    assert [(one.level, one.what) for one in told[1:]] == [
        ("warning", "These allow to run code on the server, and never end: ci (deploy)."),
        ("note", "These allow to run, and never end: bob (run)."),
    ]


@pytest.mark.parametrize(
    "forgotten",
    [
        key(used_days_ago=91),
        key(used_days_ago=None, made_days_ago=91),
    ],
)
def test_a_key_that_nobody_uses_is_told(forgotten: Key) -> None:
    assert found(forgotten)[1:] == [
        Finding(
            "warning",
            "Nobody has used 'bob' for more than 90 days.",
            fix="hayserve keys revoke bob",
        )
    ]


def test_a_new_key_may_be_unused() -> None:
    assert len(found(key(used_days_ago=None, made_days_ago=89))) == 1


@pytest.mark.parametrize(
    ("days", "told"), [(13.5, "13 days"), (1.5, "1 day"), (0.5, "less than a day")]
)
def test_a_key_that_ends_soon_is_told(days: float, told: str) -> None:
    ending = key(scopes=["run:a", "deploy"], ends_in_days=days)

    assert found(ending)[1:] == [
        Finding(
            "warning",
            f"'bob' ends in {told}; whoever uses it is shut out then.",
            fix="hayserve keys create NEXT_NAME --scope run:a --scope deploy --expires 90d",
        )
    ]


def test_an_old_text_that_is_accepted_for_long_is_told() -> None:
    assert found(key(old_for_days=8))[1:] == [
        Finding(
            "warning",
            "'bob' has an old text, which is accepted for 8 days more.",
            fix="hayserve keys rotate bob, which ends both texts",
        )
    ]
    assert found(key(old_for_days=6))[1:] == []


def test_what_has_expired_is_no_danger() -> None:
    told = found(key(), key("old", ends_in_days=-1, used_days_ago=200))

    assert told[1:] == [Finding("ok", "Expired, and of no use to anybody: old (run).")]
