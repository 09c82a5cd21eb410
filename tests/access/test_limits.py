"""That callers stay within what their keys may use, whichever worker they ask."""

import json
import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

import hayserve
from access.budgeted import KEY, Company, caller
from access.conftest import Clock
from hayserve.access.bank import Account, Bank, Order
from hayserve.access.identity import Identity
from hayserve.access.kinds import RUNS
from hayserve.access.wallet import NO_TAB
from hayserve.errors import LimitReached
from hayserve.storage.database import Database

pytestmark = pytest.mark.anyio
HAMMER = Path(__file__).with_name("hammer.py")
TESTS, SOURCE = Path(__file__).parent.parent, Path(hayserve.__file__).parent.parent


class Process:
    """A worker in a process of its own."""

    def __init__(self, url: str, worker: str, *, work: str, limit: int) -> None:
        self.worker = worker
        self._process = subprocess.Popen(
            [sys.executable, str(HAMMER), url, worker, work, str(limit)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": f"{TESTS}{os.pathsep}{SOURCE}"},
        )

    def reads(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def begin(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def result(self) -> Any:
        return json.loads(self.reads())

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()


@contextmanager
def hammering(
    database: Database, *, work: str, limit: int, processes: int
) -> Generator[list[Process]]:
    url = database.address.url.render_as_string(hide_password=False)
    started = [Process(url, f"w{n}", work=work, limit=limit) for n in range(processes)]
    try:
        assert [process.reads() for process in started] == ["ready"] * processes
        for process in started:
            process.begin()
        yield started
    finally:
        for process in started:
            process.kill()


def most_at_a_time(spans: list[tuple[float, float]]) -> int:
    steps = [(began, 1) for began, _ in spans] + [(ended, -1) for _, ended in spans]
    now = most = 0
    for _, step in sorted(steps):
        now += step
        most = max(most, now)
    return most


def free_slots(database: Database, limit: int) -> float:
    bank = Bank(database, worker="w8", live=lambda: [f"w{number}" for number in range(9)])
    (share,) = bank.settle([Order(Account(KEY, RUNS.name, 0), limit, used=0)])
    return share.left


@pytest.fixture
def company(database: Database, clock: Clock) -> Company:
    return Company(database, clock)


@pytest.mark.parametrize("limit", [7, 1000])
def test_four_processes_let_in_as_many_requests_as_the_limit_says(
    database: Database, limit: int
) -> None:
    with hammering(database, work="count", limit=limit, processes=4) as processes:
        let_in = [process.result() for process in processes]
    assert sum(let_in) == limit


def test_four_processes_have_no_more_runs_at_a_time_than_the_limit_says(
    database: Database,
) -> None:
    with hammering(database, work="run", limit=6, processes=4) as processes:
        spans = [span for process in processes for span in process.result()]
        most = most_at_a_time(spans)
    assert most == 6
    assert free_slots(database, 6) == 6


async def test_runs_of_a_process_that_is_killed_are_free_again(
    database: Database, clock: Clock
) -> None:
    ada = caller(concurrent_runs=3)
    company = Company(database, clock)
    limits = company.limits("here")
    company.live.append("w0")
    with hammering(database, work="hold", limit=3, processes=1) as [process]:
        assert process.reads() == "holding"
        with pytest.raises(LimitReached):
            await limits.open_tab_slowly(ada)
        process.kill()
        company.live.remove("w0")
        for _ in range(3):
            await limits.open_tab_slowly(ada)
        with pytest.raises(LimitReached):
            await limits.open_tab_slowly(ada)


async def test_callers_without_a_budget_are_not_counted(
    company: Company, database: Database
) -> None:
    limits = company.limits("a")
    database.close()
    assert limits.count(Identity())
    assert limits.open_tab(Identity()) is NO_TAB
    assert limits.headers(Identity()) == []
    database.open()


async def test_requests_are_counted_apart_from_runs(company: Company) -> None:
    limits, ada = company.limits("a"), caller(requests_per_minute=2, concurrent_runs=1)
    assert not limits.count(ada)
    await limits.count_slowly(ada)
    tab = limits.open_tab(ada) or await limits.open_tab_slowly(ada)
    tab.drop()
    if not limits.count(ada):
        await limits.count_slowly(ada)
    with pytest.raises(LimitReached, match="2 requests of this minute"):
        await limits.count_slowly(ada)
    with pytest.raises(LimitReached, match="The key 'ada'"):
        limits.count(ada)
    assert limits.open_tab(ada) is not None


async def test_where_only_runs_are_limited_requests_are_let_in(company: Company) -> None:
    limits = company.limits("a")
    assert limits.count(caller(concurrent_runs=1))


async def test_headers_say_what_is_left_as_openai_does(company: Company) -> None:
    limits = company.limits("a")
    ada = caller(requests_per_minute=60, tokens_per_day=1000)
    await limits.count_slowly(ada)
    tab = await limits.open_tab_slowly(ada)
    tab.close(seconds=1, tokens=58)
    assert limits.headers(ada) == [
        (b"x-ratelimit-limit-requests", b"60"),
        (b"x-ratelimit-remaining-requests", b"59"),
        (b"x-ratelimit-reset-requests", b"20s"),
        (b"x-ratelimit-limit-tokens", b"1000"),
        (b"x-ratelimit-remaining-tokens", b"942"),
        (b"x-ratelimit-reset-tokens", b"10h13m20s"),
    ]
    assert limits.headers(caller("other", concurrent_runs=1)) == []


async def test_tokens_that_one_worker_books_end_the_runs_of_another(company: Company) -> None:
    a, b = company.limits("a"), company.limits("b")
    ada = caller(tokens_per_day=100)
    async with a.running(), b.running():
        (await b.open_tab_slowly(ada)).drop()
        (await a.open_tab_slowly(ada)).close(seconds=1, tokens=100)

        async def begin_runs() -> None:
            while True:
                (b.open_tab(ada) or await b.open_tab_slowly(ada)).drop()
                await anyio.lowlevel.checkpoint()

        with anyio.fail_after(2):
            with pytest.raises(LimitReached):
                await begin_runs()


async def test_a_budget_that_is_read_anew_is_the_same_one(company: Company) -> None:
    limits = company.limits("a")
    await limits.count_slowly(caller(requests_per_minute=1))
    with pytest.raises(LimitReached):
        await limits.count_slowly(caller(requests_per_minute=1))
    await limits.count_slowly(caller(requests_per_minute=2))


async def test_callers_of_whom_nothing_is_to_be_remembered_are_forgotten(
    company: Company, clock: Clock
) -> None:
    limits, ada = company.limits("a"), caller(requests_per_minute=10)
    await limits.count_slowly(ada)
    limits.forget()
    assert limits.known == 1
    clock.now += 60
    async with limits.running():
        pass
    limits.forget()
    assert limits.known == 0
