"""What a key is, and what opens with it."""

import re
from dataclasses import replace

import pytest

from hayserve.access.key import (
    Key,
    Shown,
    check_key_name,
    digest_of,
    is_key_name,
    new_id,
    new_text,
    shown_in,
)
from hayserve.errors import InvalidRequest

KEY = Key(id="0123456789ab", name="web", digest=digest_of("new"), scopes=["run"])
NEW, OLD = Shown(KEY.id, digest_of("new")), Shown(KEY.id, digest_of("old"))


def test_a_text_says_which_key_it_is_and_nobody_can_guess_it() -> None:
    one, other = new_id(), new_id()
    assert one != other
    text = new_text(one)
    assert re.fullmatch(rf"hs_{one}_[\w-]{{43}}", text)
    assert text != new_text(one)
    assert shown_in(text) == Shown(one, digest_of(text))
    assert len(digest_of(text)) == 64


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hs_",
        "sk-proj-abc",
        "hs_local_" + "a" * 43,
        "hs_0123456789ab_" + "a" * 42,
        "hs_0123456789ab_" + "a" * 44,
        "hs_0123456789AB_" + "a" * 43,
        "hs_0123456789ab_" + "ä" * 43,
        "hs_0123456789ab_" + "a" * 43 + "\n",
        " hs_0123456789ab_" + "a" * 43,
    ],
)
def test_what_is_no_text_of_a_key_is_not_looked_for(text: str) -> None:
    assert shown_in(text) is None


def test_a_key_is_opened_by_its_text_and_no_other() -> None:
    assert KEY.is_opened_by(NEW)
    assert not KEY.is_opened_by(OLD)


def test_the_text_from_before_a_rotation_opens_for_as_long_as_was_said() -> None:
    key = replace(KEY, old_digest=OLD.digest, old_until=100.0)
    assert key.is_opened_by(OLD, now=99.0)
    assert not key.is_opened_by(OLD, now=100.0)
    assert key.is_opened_by(NEW, now=100.0)


def test_a_key_that_has_expired_or_was_revoked_opens_nothing() -> None:
    expiring = replace(KEY, expires_at=100.0)
    assert expiring.is_opened_by(NEW, now=99.0)
    assert not expiring.is_opened_by(NEW, now=100.0)
    assert not replace(KEY, revoked_at=50.0).is_opened_by(NEW, now=49.0)


def test_what_is_shown_of_a_key_does_not_open_it() -> None:
    key = replace(KEY, old_digest=OLD.digest)
    assert key.prefix == "hs_0123456789ab"
    assert NEW.digest not in repr(key)
    assert OLD.digest not in repr(key)


@pytest.mark.parametrize("name", ["web", "a@b.example", "Büro-2", "_", "7", "a" * 100])
def test_a_name_can_be_a_segment_of_a_path(name: str) -> None:
    assert is_key_name(name)
    check_key_name(name)


@pytest.mark.parametrize(
    "name", ["", ".", "..", "-a", "a b", "a/b", "a\n", "\0", "\udcff", "a" * 101]
)
def test_any_other_name_is_refused(name: str) -> None:
    assert not is_key_name(name)
    with pytest.raises(InvalidRequest, match="is no name for a key") as refused:
        check_key_name(name)
    assert refused.value.param == "name"
