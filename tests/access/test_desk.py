"""How a worker settles with the bank."""

import anyio
import anyio.lowlevel
import pytest

from access.budgeted import KEY, Company
from access.conftest import Clock
from hayserve.access.bank import Account, Order
from hayserve.access.desk import Desk
from hayserve.access.kinds import REQUESTS, TOKENS
from hayserve.access.meter import Meter
from hayserve.access.purse import Purse
from hayserve.errors import LimitReached
from hayserve.storage.database import Database

pytestmark = pytest.mark.anyio
WINDOW = 16666


def purse(desk: Desk, *, limit: int, key: str = KEY) -> Purse:
    return Purse(desk, REQUESTS, key=key, who="The key 'ada'", limit=limit)


def left(company: Company, limit: int, *, key: str = KEY) -> float:
    """What somebody else would find."""
    order = Order(Account(key, REQUESTS.name, WINDOW), limit, used=0)
    (share,) = company.bank("somebody").settle([order])
    return share.left


async def test_who_is_in_use_keeps_what_it_has_and_who_is_not_gives_it_back(
    database: Database, clock: Clock
) -> None:
    company = Company(database, clock)
    desk = Desk(company.bank("a"), clock=clock)
    one = purse(desk, limit=100)
    await one.take_slowly()
    assert left(company, 100) == 75
    await desk.settle()
    assert left(company, 100) == 75
    await desk.settle()
    assert left(company, 100) == 99
    assert desk.has_open(one)
    await desk.settle()
    assert not desk.has_open(one)


async def test_what_is_kept_is_given_back_when_there_is_nothing_else_left(
    database: Database, clock: Clock
) -> None:
    company = Company(database, clock)
    desk = Desk(company.bank("a"), clock=clock)
    one = purse(desk, limit=100)
    await one.take_slowly()
    order = Order(Account(KEY, REQUESTS.name, WINDOW), 100, used=75)
    company.bank("b").settle([order])
    assert one.take()
    await desk.settle()
    assert left(company, 100) == 23


async def test_many_are_settled_in_several_goes(database: Database, clock: Clock) -> None:
    company = Company(database, clock)
    desk = Desk(company.bank("a"), clock=clock)
    meters = [Meter(desk, TOKENS, key=str(number), who="x", limit=100) for number in range(450)]
    for meter in meters:
        meter.charge(7)
    await desk.settle()
    await desk.settle()
    assert not any(desk.has_open(meter) for meter in meters)
    other = Desk(company.bank("b"), clock=clock)
    for key in ("0", "449"):
        there = Meter(other, TOKENS, key=key, who="x", limit=100)
        await there.check_slowly()
        assert there.remaining() == 93


async def test_who_asks_the_bank_just_now_is_settled_later(
    database: Database, clock: Clock
) -> None:
    desk = Desk(Company(database, clock).bank("a"), clock=clock)
    one = Meter(desk, TOKENS, key=KEY, who="x", limit=100)
    one.charge(7)
    async with one.turn, anyio.create_task_group() as tasks:
        tasks.start_soon(desk.settle)
    assert desk.has_open(one)
    await desk.settle()
    await desk.settle()
    assert not desk.has_open(one)


async def test_what_is_settled_while_the_database_is_away_stays_open(
    database: Database, clock: Clock
) -> None:
    company = Company(database, clock)
    desk = Desk(company.bank("a"), clock=clock)
    one = purse(desk, limit=4)
    await one.take_slowly()
    database.close()
    await desk.settle()
    await desk.purge()
    assert desk.has_open(one)
    database.open()
    await desk.settle()
    assert left(company, 4) == 3


async def test_while_it_runs_it_settles_and_at_its_end_gives_back_the_rest(
    database: Database, clock: Clock
) -> None:
    company = Company(database, clock)
    desk = Desk(company.bank("a"), clock=clock)
    one = purse(desk, limit=100)
    tidied = anyio.Event()
    async with desk.running(tidy=tidied.set):
        await one.take_slowly()
        with anyio.fail_after(10):
            while left(company, 100) != 99:
                await anyio.lowlevel.checkpoint()
        await one.take_slowly()
    assert left(company, 100) == 98


async def test_what_is_being_settled_at_the_end_is_given_back_too(
    database: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hayserve.access.desk.SETTLE_SECONDS", 0)
    company = Company(database, clock)
    desk = Desk(company.bank("a"), clock=clock)
    one = purse(desk, limit=100)
    async with desk.running(tidy=lambda: None):
        await one.take_slowly()
        with anyio.fail_after(10):
            while not one.turn.locked():
                await anyio.lowlevel.checkpoint()
    assert left(company, 100) == 99


async def test_each_minute_it_tidies_up(
    database: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hayserve.access.desk._PURGE_SECONDS", 0)
    company = Company(database, clock)
    old = Order(Account(KEY, REQUESTS.name, WINDOW - 5), 10, used=3)
    bank = company.bank("a")
    bank.settle([old])
    desk = Desk(bank, clock=clock)
    tidied = anyio.Event()
    async with desk.running(tidy=tidied.set):
        with anyio.fail_after(10):
            await tidied.wait()
            while bank.settle([old._replace(used=0)])[0].left != 10:
                await anyio.lowlevel.checkpoint()


async def test_who_is_about_to_be_used_is_settled_at_once_with_others(
    database: Database, clock: Clock
) -> None:
    company = Company(database, clock)
    desk = Desk(company.bank("a"), clock=clock)
    requests = purse(desk, limit=100)
    tokens = Meter(desk, TOKENS, key=KEY, who="x", limit=0)
    await desk.warm([requests, tokens])
    assert requests.take()
    with pytest.raises(LimitReached):
        tokens.check()
