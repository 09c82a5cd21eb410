"""A request with a key is run once, by whichever worker gets it, on SQLite and on PostgreSQL."""

import time
from dataclasses import replace
from pathlib import Path
from threading import Event

import anyio
import pytest

from hayserve.errors import IdempotencyMismatch, RunFailed, StorageUnavailable
from hayserve.runs.answers import Answer, Asked
from hayserve.runs.once import Left
from hayserve.storage.database import Database
from runs.asking import Worker, stays, worker

pytestmark = pytest.mark.anyio

FIRST = Asked(key="k", fingerprint="f", run="r1")
AGAIN = replace(FIRST, run="r2")
ANSWER = Answer(200, [], b"r1")


async def leaves() -> None:
    """A caller that has left."""


async def begun(at: Worker, asked: Asked = FIRST) -> None:
    assert await at.once.ask(asked, has_left=stays) is None


async def test_what_was_answered_is_answered_again(database_url: str) -> None:
    async with worker(database_url) as here, worker(database_url, "w2") as there:
        for each, run in ((here, "r1"), (here, "r2"), (there, "r3")):
            assert await each.send(replace(FIRST, run=run)) == ANSWER


async def test_of_many_requests_to_two_workers_in_one_moment_one_is_run(database_url: str) -> None:
    ran: list[str] = []
    said: set[Answer | bytes | None] = set()

    async def send(at: Worker, run: str) -> None:
        said.add((await at.send(replace(FIRST, run=run), seconds=0.01)).body)

    async with (
        worker(database_url, "w1", ran=ran) as one,
        worker(database_url, "w2", ran=ran) as other,
        anyio.create_task_group() as tasks,
    ):
        for number in range(20):
            tasks.start_soon(send, (one, other)[number % 2], f"r{number}")

    assert len(ran) == 1
    assert said == {ran[0].encode()}


async def test_another_request_with_the_key_is_refused_at_once(database_url: str) -> None:
    async with worker(database_url) as here:
        await begun(here)
        with pytest.raises(IdempotencyMismatch, match="another request"):
            await here.send(replace(AGAIN, fingerprint="g"))
        await here.once.keep(FIRST, ANSWER)
        with pytest.raises(IdempotencyMismatch, match="another request"):
            await here.send(replace(AGAIN, fingerprint="g"))


async def test_an_answer_that_was_too_large_is_told(database_url: str) -> None:
    async with worker(database_url) as here:
        await begun(here)
        await here.once.keep(FIRST, replace(ANSWER, body=None))
        with pytest.raises(RunFailed, match="'r1', and its answer was too large"):
            await here.send(AGAIN)


@pytest.mark.parametrize("second", ["w1", "w2"])
async def test_who_waits_for_a_run_that_is_given_back_runs_it(
    database_url: str, second: str
) -> None:
    ran: list[str] = []
    async with worker(database_url, ran=ran) as here, worker(database_url, "w2", ran=ran) as there:
        await begun(here)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon((here if second == "w1" else there).send, AGAIN)
            await anyio.wait_all_tasks_blocked()
            assert ran == []
            await here.once.release(FIRST)
        assert ran == ["r2"]


async def test_the_run_of_a_worker_that_has_died_is_run_anew_by_one(database_url: str) -> None:
    ran: list[str] = []

    def is_alive(name: str) -> bool:
        return name != "w1"

    async with worker(database_url, "w1") as dead:
        await begun(dead)
        async with (
            worker(database_url, "w2", ran=ran, is_alive=is_alive) as one,
            worker(database_url, "w3", ran=ran, is_alive=is_alive) as other,
            anyio.create_task_group() as tasks,
        ):
            for number in range(10):
                again = replace(FIRST, run=f"again{number}")
                tasks.start_soon((one, other)[number % 2].send, again)
        assert len(ran) == 1
        await dead.once.keep(FIRST, ANSWER)  # it was only thought to be dead
        assert (await dead.send(AGAIN)).body == ran[0].encode()


async def test_a_run_that_this_worker_does_not_know_of_any_more_is_run_anew(
    database_url: str,
) -> None:
    async with worker(database_url) as here:
        here.answers.claim(FIRST)
        assert (await here.send(AGAIN)).body == b"r2"


@pytest.mark.parametrize("second", ["w1", "w2"])
async def test_who_leaves_while_it_waits_is_not_waited_with(database_url: str, second: str) -> None:
    async with worker(database_url) as here, worker(database_url, "w2") as there:
        await begun(here)
        with pytest.raises(Left):
            await (here if second == "w1" else there).once.ask(AGAIN, has_left=leaves)
        await here.once.keep(FIRST, ANSWER)
        assert await there.send(AGAIN) == ANSWER


async def test_who_is_cancelled_while_it_takes_the_key_gives_it_back(database_url: str) -> None:
    asked, free = Event(), Event()

    def clock() -> float:
        asked.set()
        free.wait(20)
        return time.time()

    async with worker(database_url, clock=clock) as here:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await here.send(FIRST)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(here.send, AGAIN)
            await anyio.to_thread.run_sync(asked.wait, 20)
            tasks.cancel_scope.cancel()
            free.set()
        assert (await here.send(replace(FIRST, run="r3"))).body == b"r3"


async def test_without_the_database_nobody_knows_and_nothing_is_run(tmp_path: Path) -> None:
    ran: list[str] = []
    async with worker(f"sqlite:///{tmp_path / 'a.db'}", ran=ran) as here:
        here.answers._database.close()  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
        with pytest.raises(StorageUnavailable):
            await here.send(FIRST)
    assert ran == []


async def test_an_answer_is_kept_when_the_database_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hayserve.runs.once.RETRY_SECONDS", 0.01)
    url = f"sqlite:///{tmp_path / 'a.db'}"
    async with worker(url) as here, worker(url, "w2") as there:
        database: Database = here.answers._database  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
        await begun(here)
        database.close()
        await here.once.keep(FIRST, ANSWER)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(there.send, AGAIN)
            await anyio.wait_all_tasks_blocked()
            database.open()
        assert await there.send(AGAIN) == ANSWER
        assert await here.send(AGAIN) == ANSWER
