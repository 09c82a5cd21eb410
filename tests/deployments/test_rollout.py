"""A change reaches every worker or none, on SQLite and on PostgreSQL."""

from pathlib import Path

import anyio
import pytest
from deployments.cluster import closed, cluster, until, worker
from sqlalchemy import insert

from hayserve.deployments import rollout
from hayserve.errors import DeployRefused, NameTaken, NotReady
from hayserve.storage.tables import workers as workers_table

pytestmark = pytest.mark.anyio


async def test_a_deploy_returns_when_every_worker_serves_it(
    database_url: str, tmp_path: Path
) -> None:
    async with cluster(database_url, tmp_path, size=3) as workers:
        outcome = await workers[1].deploy("hello", "one")

        assert [one.says("hello") for one in workers] == ["one", "one", "one"]
        assert (outcome.revision, outcome.workers, outcome.changed) == (1, 3, True)


async def test_an_undeploy_returns_when_no_worker_serves_it_any_more(
    database_url: str, tmp_path: Path
) -> None:
    async with cluster(database_url, tmp_path) as workers:
        await workers[0].deploy("hello", "one", aliases=("hi",))
        await workers[1].parts.deployer.undeploy("hello")

        assert [one.says(name) for one in workers for name in ("hello", "hi")] == [None] * 4


async def test_what_one_worker_cannot_load_is_served_by_none(
    database_url: str, tmp_path: Path
) -> None:
    async with cluster(database_url, tmp_path) as workers:
        await workers[0].deploy("hello", "one")
        once = f"Path({str(tmp_path / 'first')!r}).mkdir()"  # fails for whoever comes second
        with pytest.raises(DeployRefused, match="cannot be served by process .* FileExistsError"):
            await workers[0].deploy("hello", "two", setup=once, overwrite=True)

        assert [one.says("hello") for one in workers] == ["one", "one"]
        await until(lambda: "two" in closed(tmp_path))


async def test_no_worker_answers_with_the_old_revision_once_one_has_answered_with_the_new(
    database_url: str, tmp_path: Path
) -> None:
    async with cluster(database_url, tmp_path, size=3) as workers:
        await workers[0].deploy("hello", "0")
        seen: list[int] = []
        done = False

        async def ask(number: int) -> None:
            while not done:
                found = await workers[number].parts.registry.for_run("hello")
                seen.append(int(str(found.wrapper.run_api())))
                await anyio.sleep(0)

        async with anyio.create_task_group() as tasks:
            for number in range(3):
                tasks.start_soon(ask, number)
            for revision in range(1, 6):
                await workers[revision % 3].deploy("hello", str(revision), overwrite=True)
            done = True

        assert seen == sorted(seen)
        assert seen[-1] == 5 or 5 not in seen


async def test_the_replaced_revision_is_closed_when_its_last_run_has_ended(
    sqlite_url: str, tmp_path: Path
) -> None:
    async with cluster(sqlite_url, tmp_path, size=1) as [only]:
        await only.deploy("hello", "one")
        with only.find("hello").uses.held():
            await only.deploy("hello", "two", overwrite=True)
            await anyio.sleep(0.05)
            assert closed(tmp_path) == []
        await until(lambda: closed(tmp_path) == ["one"])


async def test_a_worker_that_does_not_answer_is_named_and_nothing_changes(
    sqlite_url: str, tmp_path: Path
) -> None:
    async with (
        worker(sqlite_url, tmp_path, setup_timeout=1) as one,
        worker(sqlite_url, tmp_path) as other,
    ):
        await one.deploy("hello", "one")
        stuck = other.parts.follower
        async with anyio.create_task_group() as tasks:
            stuck._limiter = anyio.Semaphore(0)  # pyright: ignore[reportPrivateUsage] - it hangs
            with pytest.raises(NotReady, match=r"Not every worker answered within 1 s: process"):
                await one.deploy("hello", "two", overwrite=True)
            tasks.cancel_scope.cancel()

        assert [one.says("hello"), other.says("hello")] == ["one", "one"]


async def test_a_worker_that_died_is_not_waited_for(sqlite_url: str, tmp_path: Path) -> None:
    async with cluster(sqlite_url, tmp_path, size=1) as [only]:
        row = {"id": "dead", "pid": 2**22 - 1, "beat": 0, "started_at": 1.0, "failed": {}}
        with only.parts.database.writing() as connection:
            connection.execute(insert(workers_table).values(**row, node=only.parts.members.node))

        assert (await only.deploy("hello", "one")).workers == 1


async def test_a_worker_that_joins_while_requests_are_held_is_waited_for(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rollout, "HOLD_SECONDS", 0.3)
    async with cluster(sqlite_url, tmp_path, size=1) as [only]:
        row = {"id": "joins", "pid": 1, "beat": 0, "started_at": 1.0, "failed": {}}
        commit = only.parts.deployer._rollout._ledger.commit  # pyright: ignore[reportPrivateUsage]

        def join_first(change: object) -> bool:
            with only.parts.database.writing() as connection:
                connection.execute(
                    insert(workers_table).values(**row, node="elsewhere").prefix_with("OR IGNORE")
                )
            return commit(change)  # pyright: ignore[reportArgumentType]

        monkeypatch.setattr(only.parts.deployer._rollout._ledger, "commit", join_first)  # pyright: ignore[reportPrivateUsage]
        with pytest.raises(NotReady, match=r"Not every worker answered|kept joining"):
            await only.deploy("hello", "one")

        assert only.says("hello") is None


async def test_two_deploys_of_one_name_at_once_become_one_after_the_other(
    database_url: str, tmp_path: Path
) -> None:
    async with cluster(database_url, tmp_path) as workers:
        async with anyio.create_task_group() as tasks:
            for number, one in enumerate(workers * 2):
                tasks.start_soon(
                    lambda one=one, number=number: one.deploy("x", str(number), overwrite=True)
                )

        said = {one.says("x") for one in workers}
        revisions = workers[0].parts.history.of("x")
        assert len(said) == 1
        assert [past.revision.number for past in revisions] == [4, 3, 2, 1]


async def test_of_two_deployments_that_want_one_alias_at_once_one_gets_it(
    database_url: str, tmp_path: Path
) -> None:
    async with cluster(database_url, tmp_path) as workers:
        refused: list[str] = []

        async def deploy(number: int) -> None:
            try:
                await workers[number].deploy(f"d{number}", str(number), aliases=("gpt",))
            except NameTaken as error:
                refused.append(str(error))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(deploy, 0)
            tasks.start_soon(deploy, 1)

        assert len(refused) == 1
        assert len({one.says("gpt") for one in workers}) == 1


async def test_what_its_coordinator_left_behind_is_ended_by_the_others(
    sqlite_url: str, tmp_path: Path
) -> None:
    async with cluster(sqlite_url, tmp_path, size=1) as [only]:
        await only.deploy("hello", "one")
        from hayserve.deployments.plan import Plan

        change = only.ledger.begin(
            Plan("hello", "undeploy", only.ledger.active("hello")), coordinator="gone"
        )
        await until(lambda: only.ledger.stage(change.id) == "aborted")

        assert only.says("hello") == "one"
        assert (await only.deploy("hello", "two", overwrite=True)).revision == 2
