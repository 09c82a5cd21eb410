"""What a worker has of requests and of runs at a time."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

import anyio
import anyio.lowlevel
import pytest

from access.budgeted import KEY, Company
from access.conftest import Clock
from hayserve.access.bank import Order, Share
from hayserve.access.desk import Desk
from hayserve.access.kinds import REQUESTS, RUNS, Kind
from hayserve.access.purse import Purse
from hayserve.errors import LimitReached, StorageUnavailable
from hayserve.storage.database import Database

pytestmark = pytest.mark.anyio


@pytest.fixture
def company(database: Database, clock: Clock) -> Company:
    return Company(database, clock)


class CountingDesk(Desk):
    """Counts how often the bank has answered."""

    answers = 0

    async def ask(self, orders: Sequence[Order]) -> Sequence[Share]:
        shares = await super().ask(orders)
        self.answers += 1
        return shares


class Worker:
    """A desk with one purse at it."""

    def __init__(self, company: Company, name: str, *, kind: Kind, limit: int, clock: Clock):
        self.desk = CountingDesk(company.bank(name), clock=clock)
        self.purse = Purse(self.desk, kind, key=KEY, who="The key 'ada'", limit=limit)

    async def takes(self) -> bool:
        """Whether it lets one in."""
        try:
            if not self.purse.take():
                await self.purse.take_slowly()
        except LimitReached:
            return False
        return True

    async def take_all(self, tries: int) -> int:
        """How many of several at the same time are let in."""
        let_in = 0

        async def one() -> None:
            nonlocal let_in
            is_in = await self.takes()
            let_in += is_in

        async with anyio.create_task_group() as tasks:
            for _ in range(tries):
                tasks.start_soon(one)
        return let_in


@pytest.fixture
def requests(company: Company, clock: Clock) -> Worker:
    return Worker(company, "a", kind=REQUESTS, limit=10, clock=clock)


@asynccontextmanager
async def settling(*workers: Worker) -> AsyncGenerator[None]:
    async with anyio.create_task_group() as tasks:

        async def often(worker: Worker) -> None:
            async with worker.desk.running(tidy=lambda: None):
                await anyio.sleep_forever()

        for worker in workers:
            tasks.start_soon(often, worker)
        yield
        tasks.cancel_scope.cancel()


async def test_as_many_are_let_in_as_the_limit_says(requests: Worker) -> None:
    assert await requests.take_all(25) == 10


async def test_who_is_refused_is_told_until_when_and_costs_nothing(
    requests: Worker, database: Database
) -> None:
    assert await requests.take_all(11) == 10
    database.close()
    with pytest.raises(LimitReached) as refused:
        requests.purse.take()
    assert refused.value.message == "The key 'ada' has sent its 10 requests of this minute."
    assert refused.value.retry_after == 20
    assert not requests.purse.is_cold()


async def test_what_the_bank_says_of_a_minute_that_is_over_meanwhile_refuses_nobody(
    company: Company, clock: Clock
) -> None:
    class Late(CountingDesk):
        async def ask(self, orders: Sequence[Order]) -> Sequence[Share]:
            shares = await super().ask(orders)
            if self.answers == 1:
                clock.now += 20
                assert requests.purse.is_idle() is False  # it looks what minute it is
            return shares

    others = Worker(company, "b", kind=REQUESTS, limit=10, clock=clock)
    assert await others.take_all(11) == 10
    requests = Worker(company, "a", kind=REQUESTS, limit=10, clock=clock)
    requests.desk = Late(company.bank("a"), clock=clock)
    requests.purse = Purse(requests.desk, REQUESTS, key=KEY, who="The key 'ada'", limit=10)
    assert await requests.takes()


async def test_the_next_minute_begins_anew(requests: Worker, clock: Clock) -> None:
    assert await requests.take_all(11) == 10
    assert requests.purse.remaining() == 0
    clock.now += 20
    assert requests.purse.remaining() == 10
    assert requests.purse.is_cold()
    assert await requests.take_all(11) == 10


async def test_what_was_held_in_a_minute_that_is_over_is_not_used(
    requests: Worker, clock: Clock
) -> None:
    await requests.purse.take_slowly()
    assert requests.purse.take()
    clock.now += 20
    assert not requests.purse.take()
    assert requests.purse.begin(keeps=True) is not None
    assert requests.purse.begin(keeps=True) is not None  # nobody knows what came of the first


async def test_an_answer_about_a_minute_that_is_over_is_left_alone(
    requests: Worker, clock: Clock
) -> None:
    purse = requests.purse
    purse.expect()
    order = purse.begin(keeps=True)
    assert order is not None
    clock.now += 20
    assert not purse.is_idle()
    (share,) = await requests.desk.ask([order])
    assert not purse.end(order, share)
    assert not purse.take()


async def test_a_minute_that_ends_while_the_bank_is_asked_refuses_nobody(
    company: Company, clock: Clock
) -> None:
    other = Worker(company, "b", kind=REQUESTS, limit=1, clock=clock)
    assert await other.takes()
    await other.desk.settle(keeps=False)

    class Later(Desk):
        async def ask(self, orders: Sequence[Order]) -> Sequence[Share]:
            shares = await super().ask(orders)
            clock.now += 20
            return shares

    desk = Later(company.bank("a"), clock=clock)
    late = Purse(desk, REQUESTS, key=KEY, who="The key 'ada'", limit=1)
    with anyio.fail_after(5):
        await late.take_slowly()


async def test_who_waits_asks_together_with_others(requests: Worker) -> None:
    assert await requests.take_all(8) == 8
    assert requests.desk.answers < 4


async def test_what_one_worker_holds_unused_another_gets(company: Company, clock: Clock) -> None:
    a = Worker(company, "a", kind=REQUESTS, limit=100, clock=clock)
    b = Worker(company, "b", kind=REQUESTS, limit=100, clock=clock)
    async with settling(a, b):
        assert await a.takes()
        with anyio.fail_after(5):
            assert await b.take_all(120) == 99


async def test_who_waits_in_vain_for_a_worker_that_does_not_settle_is_refused(
    company: Company, clock: Clock
) -> None:
    hung = Worker(company, "a", kind=REQUESTS, limit=10, clock=clock)
    other = Worker(company, "b", kind=REQUESTS, limit=10, clock=clock)
    assert await hung.takes()
    begun = anyio.current_time()
    assert await other.take_all(20) == 8
    assert anyio.current_time() - begun > 0.9
    await hung.desk.settle(keeps=False)
    assert await other.take_all(5) == 1


async def test_runs_at_a_time_are_given_back(company: Company, clock: Clock) -> None:
    worker = Worker(company, "a", kind=RUNS, limit=2, clock=clock)
    assert await worker.take_all(3) == 2
    with pytest.raises(LimitReached, match="has 2 runs under way"):
        await worker.purse.take_slowly()
    worker.purse.give_back()
    assert not worker.purse.is_idle()
    assert worker.purse.take()


async def test_who_waits_for_a_run_to_end_gets_its_place(company: Company, clock: Clock) -> None:
    a = Worker(company, "a", kind=RUNS, limit=2, clock=clock)
    b = Worker(company, "b", kind=RUNS, limit=2, clock=clock)
    assert await a.takes()
    assert await b.takes()
    for asked in (0, 1):
        b.desk.answers = 0
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(b.purse.take_slowly)
            while b.desk.answers < asked or not b.purse.turn.locked():
                await anyio.lowlevel.checkpoint()
            b.purse.give_back()
    assert not await a.takes()


async def test_a_run_that_ends_on_one_worker_makes_room_on_another(
    company: Company, clock: Clock
) -> None:
    a = Worker(company, "a", kind=RUNS, limit=3, clock=clock)
    b = Worker(company, "b", kind=RUNS, limit=3, clock=clock)
    async with settling(a, b):
        assert await a.take_all(3) == 3
        assert not await b.takes()
        a.purse.give_back()
        assert await b.takes()
        assert await b.take_all(3) == 0


async def test_who_was_silent_for_long_uses_nothing_without_asking(
    company: Company, clock: Clock
) -> None:
    """Others may take it for dead and have its runs."""
    worker = Worker(company, "a", kind=RUNS, limit=100, clock=clock)
    assert await worker.takes()
    assert worker.purse.take()
    clock.now += 6
    assert worker.purse.is_cold()
    assert not worker.purse.take()
    assert await worker.takes()


async def test_who_asks_while_the_database_is_away_is_told_so(
    requests: Worker, database: Database
) -> None:
    database.close()
    with pytest.raises(StorageUnavailable):
        await requests.takes()
    database.open()
    assert await requests.take_all(11) == 10


async def test_a_limit_can_be_changed(requests: Worker) -> None:
    assert await requests.take_all(11) == 10
    requests.purse.limit_to(12)
    assert requests.purse.limit == 12
    assert await requests.take_all(5) == 2


async def test_it_may_be_forgotten_when_nothing_is_to_be_remembered(
    requests: Worker, clock: Clock
) -> None:
    assert requests.purse.is_idle()
    assert await requests.takes()
    for _ in range(3):
        await requests.desk.settle()
    assert not requests.purse.is_idle()
    clock.now += 20
    assert requests.purse.is_idle()
