"""What runs are charged on."""

import pytest

from access.budgeted import Company, caller
from access.conftest import Clock
from hayserve.access.budget import Budget
from hayserve.access.desk import Desk
from hayserve.access.wallet import NO_TAB, Wallet
from hayserve.errors import LimitReached, StorageUnavailable
from hayserve.storage.database import Database

pytestmark = pytest.mark.anyio
ALL = {
    "requests_per_minute": 100,
    "concurrent_runs": 100,
    "tokens_per_day": 100,
    "run_seconds_per_day": 100,
}


@pytest.fixture
def desk(database: Database, clock: Clock) -> Desk:
    return Desk(Company(database, clock).bank("a"), clock=clock)


async def test_a_run_is_paid_when_it_has_ended(desk: Desk) -> None:
    wallet = Wallet(desk, caller(**ALL))
    assert wallet.open_tab() is None
    tab = await wallet.open_tab_slowly()
    assert wallet.runs is not None
    assert wallet.tokens is not None
    assert wallet.seconds is not None
    assert wallet.runs.remaining() == 99
    tab.close(seconds=2.5, tokens=7)
    left = [wallet.runs.remaining(), wallet.tokens.remaining(), wallet.seconds.remaining()]
    assert left == [100, 93, 97]
    tab.close(seconds=2.5, tokens=7)
    tab.drop()
    assert [wallet.runs.remaining(), wallet.tokens.remaining()] == [100, 93]


async def test_what_was_no_run_is_not_paid(desk: Desk) -> None:
    wallet = Wallet(desk, caller(**ALL))
    (await wallet.open_tab_slowly()).drop()
    assert wallet.runs is not None
    assert wallet.tokens is not None
    assert [wallet.runs.remaining(), wallet.tokens.remaining()] == [100, 100]


async def test_what_is_known_is_not_asked(desk: Desk, database: Database) -> None:
    wallet = Wallet(desk, caller(**ALL))
    await wallet.count_slowly()
    database.close()
    assert wallet.requests is not None
    assert wallet.requests.take()
    tab = wallet.open_tab()
    assert tab is not None
    tab.close(seconds=1, tokens=1)
    database.open()


@pytest.mark.parametrize("name", ["tokens_per_day", "run_seconds_per_day"])
async def test_who_has_used_all_of_one_thing_begins_no_run(desk: Desk, name: str) -> None:
    wallet = Wallet(desk, caller(**(ALL | {name: 3})))
    tab = await wallet.open_tab_slowly()
    another = wallet.open_tab()
    assert another is not None
    tab.close(seconds=3, tokens=3)
    with pytest.raises(LimitReached):
        wallet.open_tab()
    with pytest.raises(LimitReached):
        await wallet.open_tab_slowly()
    another.drop()
    assert wallet.open_tabs == 0


async def test_what_is_not_limited_is_not_asked_for(desk: Desk, database: Database) -> None:
    wallet = Wallet(desk, caller(requests_per_minute=3))
    database.close()
    tab = wallet.open_tab()
    assert tab is not None
    tab.close(seconds=1, tokens=1)
    (await wallet.open_tab_slowly()).drop()
    database.open()
    only_runs = Wallet(desk, caller(concurrent_runs=3))
    await only_runs.count_slowly()
    assert only_runs.open_tab() is None


async def test_seconds_may_be_all_that_is_limited(desk: Desk) -> None:
    wallet = Wallet(desk, caller(run_seconds_per_day=3))
    assert wallet.open_tab() is None
    (await wallet.open_tab_slowly()).close(seconds=3, tokens=100)
    with pytest.raises(LimitReached, match="3 seconds of runs"):
        wallet.open_tab()


async def test_who_is_let_in_by_nobody_has_no_tab(desk: Desk, database: Database) -> None:
    wallet = Wallet(desk, caller(**ALL))
    database.close()
    with pytest.raises(StorageUnavailable):
        await wallet.open_tab_slowly()
    assert wallet.open_tabs == 0
    database.open()


async def test_limits_can_be_changed_while_runs_are_under_way(desk: Desk) -> None:
    wallet = Wallet(desk, caller(concurrent_runs=1, tokens_per_day=5))
    tab = await wallet.open_tab_slowly()
    wallet.limit_to(Budget(requests_per_minute=5))
    assert (wallet.runs, wallet.tokens) == (None, None)
    assert wallet.open_tab() is not None
    wallet.limit_to(Budget(concurrent_runs=2, tokens_per_day=6))
    other = await wallet.open_tab_slowly()
    with pytest.raises(LimitReached):
        await wallet.open_tab_slowly()
    tab.close(seconds=1, tokens=6)
    other.drop()
    with pytest.raises(LimitReached, match="6 tokens"):
        wallet.open_tab()


async def test_it_is_remembered_while_a_run_is_under_way(desk: Desk) -> None:
    wallet = Wallet(desk, caller(tokens_per_day=5))
    tab = await wallet.open_tab_slowly()
    for _ in range(3):
        await desk.settle()
    assert not wallet.is_idle()
    tab.drop()
    assert wallet.is_idle()


def test_those_whom_nothing_limits_have_a_tab_that_costs_nothing() -> None:
    NO_TAB.close(seconds=1, tokens=1)
    NO_TAB.drop()
