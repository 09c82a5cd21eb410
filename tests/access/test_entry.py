"""Runs begin for those who may run and have something left."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from hayserve.access.bank import Bank
from hayserve.access.budget import Budget
from hayserve.access.entry import ASK_AGAIN, Entry, Scope, drop_bill, take_bill
from hayserve.access.identity import GUEST, IDENTITY, STRANGER, Identity
from hayserve.access.limits import Limits
from hayserve.access.scopes import RUNS
from hayserve.errors import LimitReached, Unauthorized
from hayserve.storage.database import Database
from hayserve.wrappers.caller import Caller

pytestmark = pytest.mark.anyio


def ann(**budget: int) -> Identity:
    return Identity(Caller("key", "ann"), owner="a", scopes=RUNS, budget=Budget(**budget))


def scope_of(identity: Identity) -> Scope:
    return {"state": {IDENTITY: identity}}


@asynccontextmanager
async def entrance(database: Database) -> AsyncGenerator[Entry]:
    limits = Limits(Bank(database, worker="w", live=lambda: ["w"]))
    async with limits.running():
        yield Entry(limits)


async def begin(entry: Entry, scope: Scope) -> None:
    if not entry.open(scope):  # the other workers have to be asked
        await entry.open_slowly(scope)


async def test_who_has_no_budget_comes_in_at_once(database: Database) -> None:
    async with entrance(database) as entry:
        assert entry.open(scope_of(GUEST))
        with pytest.raises(Unauthorized):
            entry.open(scope_of(STRANGER))


async def test_a_run_that_never_began_makes_room(database: Database) -> None:
    async with entrance(database) as entry:
        first, second = scope_of(one := ann(concurrent_runs=1)), scope_of(one)
        await begin(entry, first)
        with pytest.raises(LimitReached):
            await begin(entry, second)
        drop_bill(first)
        drop_bill(first)
        await begin(entry, second)
        take_bill(second).close("it", seconds=1, usage=None)
        await begin(entry, first)


async def test_on_a_connection_other_workers_are_asked_if_need_be(database: Database) -> None:
    async with entrance(database) as entry:
        scope = scope_of(ann(concurrent_runs=1))
        await entry.open_again(scope)
        with pytest.raises(LimitReached):
            await entry.open_again(scope_of(ann(concurrent_runs=1)))
        drop_bill(scope)


async def test_on_a_connection_it_is_asked_each_time_who_is_there(database: Database) -> None:
    async with entrance(database) as entry:
        found = [ann(requests_per_minute=2, concurrent_runs=5)]

        async def ask_again() -> Identity:
            return found[0]

        scope: Scope = {"state": {IDENTITY: GUEST, ASK_AGAIN: ask_again}}
        for _ in range(2):
            await entry.open_again(scope)
            drop_bill(scope)
        with pytest.raises(LimitReached, match="2 requests of this minute"):
            await entry.open_again(scope)
        found[0] = STRANGER  # the key was revoked
        with pytest.raises(Unauthorized):
            await entry.open_again(scope)


async def test_where_nothing_can_tell_who_is_there_it_is_who_was(database: Database) -> None:
    async with entrance(database) as entry:
        scope = scope_of(GUEST)
        await entry.open_again(scope)
        take_bill(scope).drop()
