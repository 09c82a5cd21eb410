"""How budgets are shared out among workers."""

import random
import threading
from collections import Counter

import pytest
from sqlalchemy import func, select

from access.budgeted import KEY, Company
from access.conftest import Clock
from hayserve.access.bank import Account, Bank, Order, Share
from hayserve.access.kinds import REQUESTS, RUNS, TOKENS
from hayserve.storage.database import Database
from hayserve.storage.tables import shares

MINUTE = Account(KEY, REQUESTS.name, 16666)
SLOTS = Account(KEY, RUNS.name, 0)


@pytest.fixture
def company(database: Database, clock: Clock) -> Company:
    return Company(database, clock)


def settle(bank: Bank, order: Order) -> Share:
    (share,) = bank.settle([order])
    return share


def rows_in(database: Database) -> int:
    with database.reading() as connection:
        return connection.execute(select(func.count()).select_from(shares)).scalar_one()


def test_who_wants_some_gets_it_and_some_more_to_use_without_asking(company: Company) -> None:
    share = settle(company.bank("a"), Order(MINUTE, 100, used=0, wanted=1, ahead=True))
    assert share == Share(spare=25, left=75)


def test_the_more_workers_there_are_the_less_each_gets_ahead(company: Company) -> None:
    settle(company.bank("a"), Order(MINUTE, 100, used=20, wanted=1))
    assert settle(company.bank("b"), Order(MINUTE, 100, used=0, ahead=True)).spare == 79 // 8


def test_who_wants_no_more_gets_no_more(company: Company) -> None:
    bank = company.bank("a")
    assert settle(bank, Order(MINUTE, 100, used=0, wanted=3)) == Share(spare=3, left=97)
    assert settle(bank, Order(MINUTE, 100, used=2)) == Share(spare=0, left=98)


def test_what_is_kept_stays(company: Company) -> None:
    bank = company.bank("a")
    settle(bank, Order(MINUTE, 100, used=0, wanted=60))
    share = settle(bank, Order(MINUTE, 100, used=10, keep=50, ahead=True))
    assert share == Share(spare=50, left=40)


def test_nobody_gets_more_than_is_left(company: Company) -> None:
    a, b = company.bank("a"), company.bank("b")
    settle(a, Order(MINUTE, 10, used=7, wanted=2))
    share = settle(b, Order(MINUTE, 10, used=0, wanted=5))
    assert share == Share(spare=1, left=0, held=2, used=7)


def test_a_limit_that_was_lowered_gives_nobody_anything(company: Company) -> None:
    a = company.bank("a")
    settle(a, Order(MINUTE, 10, used=7))
    assert settle(a, Order(MINUTE, 5, used=7, wanted=1)) == Share(spare=0, left=0)


def test_what_is_used_may_be_more_than_the_limit_and_then_nothing_is_left(
    company: Company,
) -> None:
    day = Account(KEY, TOKENS.name, 11)
    settle(company.bank("a"), Order(day, 1000, used=1500.5))
    assert settle(company.bank("b"), Order(day, 1000, used=0)).left == 0


def test_to_settle_twice_is_to_settle_once(company: Company) -> None:
    a, b = company.bank("a"), company.bank("b")
    order = Order(MINUTE, 100, used=3, wanted=5)
    assert settle(a, order) == settle(a, order)
    assert settle(b, Order(MINUTE, 100, used=0)).left == 92


def test_keys_kinds_and_windows_do_not_touch_each_other(company: Company) -> None:
    accounts = [
        MINUTE,
        Account("other", REQUESTS.name, 16666),
        Account(KEY, TOKENS.name, 16666),
        Account(KEY, REQUESTS.name, 16667),
    ]
    orders = [Order(account, 10, used=0, wanted=10) for account in accounts]
    assert [share.spare for share in company.bank("a").settle(orders)] == [10] * 4


def test_a_minute_of_a_dead_worker_counts_as_used_and_nobody_waits_for_it(
    company: Company,
) -> None:
    a, b = company.bank("a"), company.bank("b")
    settle(a, Order(MINUTE, 10, used=4, wanted=6))
    company.live.remove("a")
    assert settle(b, Order(MINUTE, 10, used=0, wanted=1)) == Share(spare=0, left=0)


def test_runs_of_a_dead_worker_are_not_under_way(company: Company) -> None:
    a, b, c = (company.bank(worker) for worker in "abc")
    settle(a, Order(SLOTS, 10, used=6, wanted=1))
    settle(c, Order(SLOTS, 10, used=2, wanted=1))
    company.live.remove("a")
    assert settle(b, Order(SLOTS, 10, used=0, wanted=8)) == Share(7, 0, held=1, used=2)


def test_runs_of_live_workers_stay_where_they_are(company: Company) -> None:
    a, b = company.bank("a"), company.bank("b")
    settle(a, Order(SLOTS, 2, used=2))
    assert settle(b, Order(SLOTS, 2, used=0, wanted=1)) == Share(0, 0, held=0, used=2)


def test_who_was_taken_for_dead_says_again_what_it_has(company: Company) -> None:
    a, b = company.bank("a"), company.bank("b")
    settle(a, Order(SLOTS, 2, used=2))
    company.live.remove("a")
    settle(b, Order(SLOTS, 2, used=0, wanted=1))
    company.live.append("a")
    assert settle(a, Order(SLOTS, 2, used=2, wanted=1)) == Share(0, 0, held=1)
    assert settle(b, Order(SLOTS, 2, used=1, wanted=1)).spare == 0


def test_old_windows_and_dead_workers_are_deleted(
    company: Company, database: Database, clock: Clock
) -> None:
    a, b = company.bank("a"), company.bank("b")
    today = Account(KEY, TOKENS.name, TOKENS.window_at(clock.now))
    for bank in (a, b):
        bank.settle([Order(account, 100, used=1) for account in (MINUTE, SLOTS, today)])
    company.live.remove("a")
    b.purge()
    assert rows_in(database) == 5
    clock.now += 180
    b.purge()
    assert rows_in(database) == 3
    clock.now += 2 * 86400
    b.purge()
    assert rows_in(database) == 1


def test_workers_that_ask_at_the_same_time_get_no_more_than_there_is(company: Company) -> None:
    """Each thread is a worker that uses what it gets, and gives back some."""
    got: Counter[str] = Counter()

    def work(worker: str, bank: Bank) -> None:
        dice = random.Random(worker)
        for _ in range(25):
            wanted = dice.randint(1, 9)
            share = settle(bank, Order(MINUTE, 400, used=got[worker], wanted=wanted, ahead=True))
            got[worker] += min(int(share.spare), wanted)
        settle(bank, Order(MINUTE, 400, used=got[worker]))

    threads = [threading.Thread(target=work, args=(name, company.bank(name))) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    left = settle(company.bank("e"), Order(MINUTE, 400, used=0)).left
    assert got.total() + left == 400
    assert 0 <= left < 400
