"""Runs are listed and cancelled on all workers that share a database."""

from contextlib import AsyncExitStack
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from sqlalchemy import func, select

from deployments.cluster import outage, until
from hayserve.errors import NotFound, NotReady, StorageUnavailable
from hayserve.runs.everywhere import Found
from hayserve.runs.questions import Questions
from hayserve.storage.tables import questions
from runs.company import Colleague, colleague, state

pytestmark = pytest.mark.anyio


def ids(found: Found) -> list[str]:
    return [run.id for run in found.runs]


def asked(one: Colleague) -> int:
    with one.database.reading() as connection:
        return connection.execute(select(func.count()).select_from(questions)).scalar_one()


async def test_the_runs_of_all_workers_are_listed_the_oldest_first(database_url: str) -> None:
    async with (
        colleague(database_url, state("b", age=2), state("d", age=0.5)) as one,
        colleague(database_url, state("a", age=3), state("c", stage="tool: x")) as two,
    ):
        for each in (one, two):
            found = await each.everywhere.live()
            assert ids(found) == ["a", "b", "c", "d"]
            assert found.silent == []
        label = two.members.live()[one.members.id].label
        assert [run.worker for run in found.runs] == [label] * 4
        assert asked(one) == 0


async def test_those_of_one_deployment_are_listed(database_url: str) -> None:
    other = state("b", deployment="writer")
    async with (
        colleague(database_url, state("a"), other) as one,
        colleague(database_url, state("c", age=0.5), other),
    ):
        assert ids(await one.everywhere.live(deployment="greeter")) == ["a", "c"]


async def test_those_of_one_owner_are_listed_and_cancelled(database_url: str) -> None:
    mine, yours = state("a", owner="me"), state("b", owner="you")
    async with (
        colleague(database_url, mine, yours) as one,
        colleague(database_url, state("c", age=0.5, owner="me")) as two,
    ):
        assert ids(await one.everywhere.live(owner="me")) == ["a", "c"]
        for each in (one, two):
            with pytest.raises(NotFound):
                await each.everywhere.cancel("b", reason="why", owner="me")
            await each.everywhere.cancel("c", reason="why", owner="me")
        assert (one.made.told, two.made.told) == ([], [("c", "why")] * 2)


async def test_a_run_of_the_same_worker_is_cancelled_without_a_word_to_the_others() -> None:
    # in memory nobody else can see it
    async with colleague("sqlite://", state("a")) as one:
        worker = await one.everywhere.cancel("a", reason="why")
        assert (worker.id, one.made.told) == (one.members.id, [("a", "why")])
        assert ids(await one.everywhere.live()) == ["a"]
        with pytest.raises(NotFound, match="No run that is alive has the id 'b'"):
            await one.everywhere.cancel("b", reason="why")


async def test_a_worker_that_is_alone_asks_nobody(sqlite_url: str) -> None:
    async with colleague(sqlite_url, state("a")) as one:
        before = one.database.commits.number
        assert ids(await one.everywhere.live()) == ["a"]
        with pytest.raises(NotFound):
            await one.everywhere.cancel("b", reason="why")
        assert one.database.commits.number == before


async def test_a_run_of_another_worker_is_cancelled(database_url: str) -> None:
    async with (
        colleague(database_url) as one,
        colleague(database_url, state("a")) as two,
        colleague(database_url, answers=False),
    ):
        worker = await one.everywhere.cancel("a", reason="why")
        assert (worker.id, two.made.told) == (two.members.id, [("a", "why")])
        assert asked(one) == 0


async def test_a_run_that_no_worker_has_is_not_found(database_url: str) -> None:
    async with colleague(database_url) as one, colleague(database_url, state("a")):
        with pytest.raises(NotFound, match="No run that is alive has the id 'b'"):
            await one.everywhere.cancel("b", reason="why")


async def test_a_worker_that_does_not_answer_is_named(sqlite_url: str) -> None:
    async with (
        colleague(sqlite_url, state("a"), patience=0.1) as one,
        colleague(sqlite_url, state("b", age=2)),
        colleague(sqlite_url, state("c"), answers=False) as mute,
    ):
        found = await one.everywhere.live()
        assert ids(found)[-1] == "a"
        assert mute.members.id in [worker.id for worker in found.silent]
        with pytest.raises(NotReady, match=r"has the run 'c'; silent: process \d+ on"):
            await one.everywhere.cancel("c", reason="why")
        assert asked(one) == 0


async def test_a_worker_that_left_before_it_answered_is_not_silent(sqlite_url: str) -> None:
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(colleague(sqlite_url, state("a"), patience=0.2))
        mute = await stack.enter_async_context(colleague(sqlite_url, answers=False))
        found: list[Found] = []

        async def look() -> None:
            found.append(await one.everywhere.live())

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(look)
            await until(lambda: asked(one))
            await anyio.to_thread.run_sync(mute.members.leave)
        assert (ids(found[0]), found[0].silent) == (["a"], [])


async def test_many_can_ask_at_once(database_url: str) -> None:
    async with (
        colleague(database_url, state("a", age=2)) as one,
        colleague(database_url, state("b")) as two,
    ):
        found: list[Found] = []

        async def look(who: Colleague) -> None:
            found.append(await who.everywhere.live())

        async with anyio.create_task_group() as tasks:
            for who in (one, two) * 4:
                tasks.start_soon(look, who)
        assert [ids(each) for each in found] == [["a", "b"]] * 8
        assert [worker for each in found for worker in each.silent] == []
        assert asked(one) == 0


async def test_nothing_stays_of_a_question_whose_asker_gave_up(sqlite_url: str) -> None:
    async with (
        colleague(sqlite_url, patience=60) as one,
        colleague(sqlite_url, answers=False),
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(one.everywhere.live)
        await until(lambda: asked(one))
        tasks.cancel_scope.cancel()
    async with colleague(sqlite_url) as one:
        assert asked(one) == 0


async def test_a_question_that_was_answered_is_not_answered_again(sqlite_url: str) -> None:
    async with colleague(sqlite_url, state("a")) as one, colleague(sqlite_url) as two:
        asking = Questions(two.database, worker=two.members.id)
        for number in range(1, 4):
            question = asking.ask("list", {"deployment": None})
            await until(lambda question=question: asking.replies(question))
            assert one.made.looks == number


async def test_workers_answer_again_when_the_database_is_back(
    postgres_server: str, postgres_url: str, tmp_path: Path
) -> None:
    async with (
        colleague(postgres_url, state("a")) as one,
        colleague(postgres_url, state("b", age=2)) as two,
    ):
        with outage(postgres_server, postgres_url):
            with pytest.raises(StorageUnavailable):
                await one.everywhere.live()
            two.pulse.beat()
            assert (await one.everywhere.cancel("a", reason="why")).id == one.members.id
        assert ids(await one.everywhere.live()) == ["b", "a"]
