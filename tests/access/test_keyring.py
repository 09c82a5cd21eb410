"""Keys in memory follow those in the database."""

from collections.abc import Callable
from typing import Self

import anyio
import anyio.lowlevel
import pytest

from access.conftest import Clock
from hayserve.access import keyring as module
from hayserve.access.budget import Budget
from hayserve.access.identity import Identity
from hayserve.access.key import shown_in
from hayserve.access.keyring import Keyring
from hayserve.access.keys import Keys
from hayserve.deployments.pulse import Pulse
from hayserve.errors import StorageUnavailable, Unauthorized
from hayserve.storage.database import Database

pytestmark = pytest.mark.anyio


@pytest.fixture
def keys(database: Database, clock: Clock) -> Keys:
    return Keys(database, clock=clock)


@pytest.fixture
def keyring(keys: Keys, clock: Clock) -> Keyring:
    return Keyring(keys, clock=clock)


def asked(keyring: Keyring, text: str) -> Identity:
    shown = shown_in(text)
    assert shown is not None
    return keyring.identity_of(shown)


def is_known(keyring: Keyring, text: str) -> bool:
    return asked(keyring, text).refusal is None


async def until(condition: Callable[[], object]) -> None:
    """Wait for what is to come within a second."""
    with anyio.fail_after(1):
        while not condition():  # noqa: ASYNC110 - nothing else tells
            await anyio.sleep(0.01)


class Impatient:
    """A pulse that always beats, and counts who listens."""

    asked = 0

    def next(self) -> Self:
        self.asked += 1
        return self

    async def wait(self, seconds: float) -> None:
        await anyio.lowlevel.checkpoint()


async def test_a_key_that_is_known_says_who_shows_it(keys: Keys, keyring: Keyring) -> None:
    budget = Budget(concurrent_runs=2)
    key, text = keys.create("web", scopes=["run:a"], budget=budget)
    async with keyring.running():
        identity = asked(keyring, text)
    assert (identity.caller.kind, identity.caller.name) == ("key", "web")
    assert (identity.owner, identity.budget) == (key.id, budget)
    assert identity.scopes.words == ("run:a",)
    assert identity.label == "key web"


async def test_a_wrong_text_is_refused_whether_there_is_such_a_key_or_not(
    keys: Keys, keyring: Keyring
) -> None:
    key, _ = keys.create("web", scopes=["run"])
    async with keyring.running():
        for text in (f"hs_{key.id}_{'a' * 43}", f"hs_{'0' * 12}_{'a' * 43}"):
            identity = asked(keyring, text)
            assert identity.refusal is not None
            assert isinstance(identity.refusal(), Unauthorized)
            assert not identity.scopes
            assert not identity.is_known


@pytest.mark.parametrize("has_pulse", [True, False])
async def test_what_becomes_of_a_key_is_known_within_a_second(
    database: Database, keys: Keys, clock: Clock, *, has_pulse: bool
) -> None:
    pulse = Pulse(database)
    keyring = Keyring(keys, pulse=pulse if has_pulse else None, clock=clock)
    async with pulse.running(), keyring.running():
        _, text = keys.create("web", scopes=["run"])
        await until(lambda: is_known(keyring, text))
        _, newer = keys.rotate("web")
        await until(lambda: is_known(keyring, newer))
        assert not is_known(keyring, text)
        keys.revoke("web")
        await until(lambda: not is_known(keyring, newer))


async def test_a_key_expires_by_itself(keys: Keys, keyring: Keyring, clock: Clock) -> None:
    _, text = keys.create("web", scopes=["run"], expires_in=60)
    async with keyring.running():
        clock.now += 59
        assert is_known(keyring, text)
        clock.now += 1
        assert not is_known(keyring, text)


async def test_the_last_use_is_noted_from_time_to_time_and_at_the_end(
    keys: Keys, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    keyring = Keyring(keys, clock=clock)
    monkeypatch.setattr(module, "NOTE_SECONDS", 0.01)
    _, text = keys.create("web", scopes=["run"])
    async with keyring.running():
        asked(keyring, text)
        await until(lambda: keys.all()[0].last_used_at is not None)
        monkeypatch.setattr(module, "NOTE_SECONDS", 10.0)
        clock.now += 5
        asked(keyring, text)
    assert keys.all()[0].last_used_at == clock.now


async def test_while_the_database_is_away_what_is_known_holds(
    database: Database, keys: Keys, clock: Clock
) -> None:
    pulse = Impatient()
    keyring = Keyring(keys, pulse=pulse, clock=clock)
    _, text = keys.create("web", scopes=["run"])
    async with keyring.running():
        asked(keyring, text)
        database.close()
        await keyring.note()
        looked = pulse.asked
        await until(lambda: pulse.asked > looked + 2)
        assert is_known(keyring, text)
        database.open()
        await keyring.note()
        assert keys.all()[0].last_used_at == clock.now
        keys.revoke("web")
        await until(lambda: not is_known(keyring, text))


async def test_without_a_database_it_does_not_start(database: Database, keyring: Keyring) -> None:
    database.close()
    with pytest.raises(StorageUnavailable):
        async with keyring.running():
            pass
