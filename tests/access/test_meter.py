"""What a worker knows of tokens, and of seconds of runs."""

import anyio
import pytest

from access.budgeted import KEY, Company
from access.conftest import Clock
from hayserve.access.desk import Desk
from hayserve.access.kinds import TOKENS
from hayserve.access.meter import Meter
from hayserve.errors import LimitReached, StorageUnavailable
from hayserve.storage.database import Database

pytestmark = pytest.mark.anyio


@pytest.fixture
def company(database: Database, clock: Clock) -> Company:
    return Company(database, clock)


def meter(desk: Desk, limit: int = 100) -> Meter:
    return Meter(desk, TOKENS, key=KEY, who="The key 'ada'", limit=limit)


async def test_a_run_may_begin_until_all_is_used(company: Company, clock: Clock) -> None:
    one = meter(Desk(company.bank("a"), clock=clock))
    assert not one.check()
    await one.check_slowly()
    assert one.check()
    one.charge(99.5)
    assert (one.check(), one.remaining()) == (True, 0)
    one.charge(70)
    with pytest.raises(LimitReached, match="has used its 100 tokens") as refused:
        one.check()
    assert refused.value.retry_after == 86400 - 49600
    assert one.remaining() == 0


async def test_what_was_used_here_is_known_there_when_it_is_settled(
    company: Company, clock: Clock
) -> None:
    desks = [Desk(company.bank(name), clock=clock) for name in "ab"]
    here, there = (meter(desk) for desk in desks)
    await there.check_slowly()
    here.charge(100)
    await desks[0].settle()
    assert there.check()
    await desks[1].settle()
    with pytest.raises(LimitReached):
        there.check()


async def test_what_is_known_of_others_is_soon_too_old(company: Company, clock: Clock) -> None:
    here, there = (meter(Desk(company.bank(name), clock=clock)) for name in "ab")
    await there.check_slowly()
    here.charge(100)
    clock.now += 0.6
    assert there.is_cold()
    assert not there.check()


async def test_who_has_used_all_is_refused_without_asking_until_the_next_day(
    company: Company, clock: Clock, database: Database
) -> None:
    here = meter(Desk(company.bank("a"), clock=clock))
    here.charge(100)
    with pytest.raises(LimitReached):
        await here.check_slowly()
    database.close()
    clock.now += 3600
    with pytest.raises(LimitReached):
        await here.check_slowly()
    database.open()
    clock.now += 86400
    assert here.remaining() == 100
    await here.check_slowly()


async def test_those_who_wait_ask_together(company: Company, clock: Clock) -> None:
    here = meter(Desk(company.bank("a"), clock=clock))
    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(here.check_slowly)
    assert here.check()


async def test_what_is_booked_while_the_bank_is_asked_counts(
    company: Company, clock: Clock
) -> None:
    desk = Desk(company.bank("a"), clock=clock)
    here = meter(desk)
    here.expect()
    order = here.begin(keeps=True)
    assert order is not None
    here.charge(30)
    (share,) = await desk.ask([order])
    assert not here.end(order, share)
    assert here.remaining() == 70
    assert here.begin(keeps=False) is not None


async def test_an_answer_about_a_day_that_is_over_is_left_alone(
    company: Company, clock: Clock
) -> None:
    desk = Desk(company.bank("a"), clock=clock)
    here = meter(desk)
    here.charge(30)
    order = here.begin(keeps=True)
    assert order is not None
    clock.now += 86400
    here.charge(1)
    (share,) = await desk.ask([order])
    here.end(order, share)
    assert here.remaining() == 99
    assert not here.check()


async def test_who_asks_while_the_database_is_away_is_told_so(
    company: Company, clock: Clock, database: Database
) -> None:
    here = meter(Desk(company.bank("a"), clock=clock))
    here.charge(30)
    database.close()
    with pytest.raises(StorageUnavailable):
        await here.check_slowly()
    assert not here.check()
    database.open()
    await here.check_slowly()
    assert here.remaining() == 70


async def test_a_limit_can_be_changed(company: Company, clock: Clock) -> None:
    here = meter(Desk(company.bank("a"), clock=clock))
    here.charge(100)
    with pytest.raises(LimitReached):
        await here.check_slowly()
    here.limit_to(120)
    assert here.limit == 120
    await here.check_slowly()
    assert here.remaining() == 20


async def test_it_may_be_forgotten_when_nothing_is_to_be_remembered(
    company: Company, clock: Clock
) -> None:
    desk = Desk(company.bank("a"), clock=clock)
    here = meter(desk)
    assert here.is_idle()
    here.charge(1)
    for _ in range(2):
        await desk.settle()
    assert not here.is_idle()
    clock.now += 86400
    assert here.is_idle()
