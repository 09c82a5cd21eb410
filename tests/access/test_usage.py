"""What callers have used, by days."""

import anyio
import anyio.lowlevel
import pytest

from access.budgeted import KEY, caller
from access.conftest import Clock
from hayserve.access.usage import UsageBook, Used
from hayserve.storage.database import Database

pytestmark = pytest.mark.anyio
DAY = 11  # where the clock stands


@pytest.fixture
def book(database: Database, clock: Clock) -> UsageBook:
    return UsageBook(database, clock=clock)


async def test_what_runs_used_is_added_up(
    book: UsageBook, database: Database, clock: Clock
) -> None:
    other = UsageBook(database, clock=clock)
    for one in (book, book, other):
        one.note(caller(), "summarize", seconds=1.5, input_tokens=10, output_tokens=3)
    other.note(caller(), "summarize", seconds=0.5, failed=True)
    await book.flush()
    await book.flush()
    await other.flush()
    assert book.read(since_day=DAY) == [Used(DAY, KEY, "summarize", "key ada", 4, 1, 5.0, 30, 9)]


async def test_each_day_each_owner_and_each_deployment_is_told_apart(
    book: UsageBook, clock: Clock
) -> None:
    book.note(caller(), "a", seconds=1)
    book.note(caller(), "b", seconds=2)
    book.note(caller("other"), "a", seconds=3)
    clock.now += 86400
    book.note(caller(), "a", seconds=4)
    await book.flush()
    found = [(used.day, used.owner, used.deployment) for used in book.read(since_day=0)]
    assert found == [
        (DAY + 1, KEY, "a"),
        (DAY, KEY, "a"),
        (DAY, KEY, "b"),
        (DAY, "other", "a"),
    ]
    assert [used.seconds for used in book.read(since_day=DAY + 1)] == [4]
    assert [used.seconds for used in book.read(since_day=0, owner="other")] == [3]
    assert book.read(since_day=0, owner="nobody") == []


async def test_more_tokens_than_fit_into_32_bits_are_counted(book: UsageBook) -> None:
    book.note(caller(), "a", seconds=1, input_tokens=5_000_000_000)
    await book.flush()
    assert book.read(since_day=0)[0].input_tokens == 5_000_000_000


async def test_nothing_is_lost_while_the_database_is_away(
    book: UsageBook, database: Database
) -> None:
    book.note(caller(), "a", seconds=1)
    book.note(caller(), "b", seconds=1)
    database.close()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(book.flush)
        await anyio.lowlevel.checkpoint()
        book.note(caller(), "a", seconds=2)
    await book.flush()
    database.open()
    await book.flush()
    assert [(used.deployment, used.runs, used.seconds) for used in book.read(since_day=0)] == [
        ("a", 2, 3.0),
        ("b", 1, 1.0),
    ]


async def test_it_is_written_down_each_second_and_at_the_end(
    book: UsageBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hayserve.access.usage.FLUSH_SECONDS", 0)
    async with book.running():
        book.note(caller(), "a", seconds=1)
        with anyio.fail_after(10):
            while not book.read(since_day=0):
                await anyio.lowlevel.checkpoint()
        book.note(caller(), "a", seconds=1)
    assert book.read(since_day=0)[0].runs == 2
