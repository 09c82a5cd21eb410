"""Whoever waits is woken when something changes."""

from pathlib import Path

import anyio
import pytest

from hayserve.deployments.members import Members
from hayserve.deployments.pulse import Pulse
from hayserve.storage.database import Database

pytestmark = pytest.mark.anyio


async def test_all_who_wait_are_woken_once() -> None:
    pulse = Pulse(Database("sqlite://"))
    woken: list[int] = []

    async def wait(number: int) -> None:
        await pulse.next().wait(10)
        woken.append(number)

    async with anyio.create_task_group() as tasks:
        for number in range(3):
            tasks.start_soon(wait, number)
        await anyio.wait_all_tasks_blocked()
        pulse.beat()
    assert sorted(woken) == [0, 1, 2]


async def test_a_beat_between_looking_and_waiting_is_not_missed() -> None:
    pulse = Pulse(Database("sqlite://"))
    beat = pulse.next()
    pulse.beat()
    with anyio.fail_after(1):
        await beat.wait(10)


async def test_nobody_waits_longer_than_wanted() -> None:
    pulse = Pulse(Database("sqlite://"))
    with anyio.fail_after(5):
        await pulse.next().wait(0.01)


async def test_a_change_by_another_wakes(database_url: str) -> None:
    database, other = Database(database_url), Database(database_url)
    database.open()
    other.open()
    try:
        pulse = Pulse(database)
        async with pulse.running():
            for _ in range(2):
                beat = pulse.next()
                await anyio.to_thread.run_sync(Members(other).join)
                with anyio.fail_after(5):
                    await beat.wait(10)
    finally:
        other.close()
        database.close()


async def test_it_goes_on_where_nothing_happens_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hayserve.deployments.pulse._LONGEST_WAIT_SECONDS", 0.01)
    database = Database("sqlite://")
    database.open()
    pulse = Pulse(database)
    async with pulse.running():
        await pulse.next().wait(0.1)
        beat = pulse.next()
        await anyio.to_thread.run_sync(Members(database).join)
        with anyio.fail_after(5):
            await beat.wait(10)
    database.close()
