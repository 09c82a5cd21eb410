"""A change reaches every worker or none, on SQLite and on PostgreSQL."""

from pathlib import Path

import anyio
import pytest
from sqlalchemy import insert

from deployments.cluster import Puppet, closed, cluster, outage, until, worker
from hayserve.deployments import rollout
from hayserve.deployments.change import Stage
from hayserve.deployments.order import Outcome
from hayserve.deployments.plan import Plan
from hayserve.errors import DeployRefused, NameTaken, NotReady, StorageUnavailable
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
        with pytest.raises(DeployRefused, match=r"cannot be served by process .* FileExistsError"):
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
                await anyio.sleep(0.001)  # else no thread gets to work

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
    async with worker(sqlite_url, tmp_path, setup_timeout=1) as one:
        await one.deploy("hello", "one")
        Puppet(one)
        with pytest.raises(NotReady, match=r"Not every worker answered within 6 s: process"):
            await one.deploy("hello", "two", overwrite=True)

        assert one.says("hello") == "one"


async def test_a_worker_that_died_is_not_waited_for(sqlite_url: str, tmp_path: Path) -> None:
    async with cluster(sqlite_url, tmp_path, size=1) as [only]:
        row: dict[str, object] = {
            "id": "dead",
            "pid": 2**22 - 1,
            "beat": 0,
            "started_at": 1.0,
            "failed": {},
            "run": "",
        }
        with only.parts.database.writing() as connection:
            connection.execute(insert(workers_table).values(**row, node=only.parts.members.node))

        assert (await only.deploy("hello", "one")).workers == 1


async def test_a_worker_that_joins_while_requests_are_held_is_waited_for(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rollout, "HOLD_SECONDS", 0.3)
    async with cluster(sqlite_url, tmp_path, size=1) as [only]:
        row: dict[str, object] = {
            "id": "joins",
            "pid": 1,
            "beat": 0,
            "started_at": 1.0,
            "failed": {},
            "run": "",
        }
        commit = only.parts.deployer._rollout._ledger.commit  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]

        def join_first(change: object) -> bool:
            with only.parts.database.writing() as connection:
                connection.execute(
                    insert(workers_table).values(**row, node="elsewhere").prefix_with("OR IGNORE")
                )
            return commit(change)  # pyright: ignore[reportArgumentType]

        monkeypatch.setattr(only.parts.deployer._rollout._ledger, "commit", join_first)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
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
        change = only.ledger.begin(
            Plan("hello", "undeploy", only.ledger.active("hello")), coordinator="gone"
        )
        await until(lambda: only.ledger.stage(change.id) == "aborted")

        assert only.says("hello") == "one"
        assert (await only.deploy("hello", "two", overwrite=True)).revision == 2


STAGES: list[Stage] = ["loading", "holding", "committed"]


@pytest.mark.parametrize("stage", STAGES)
async def test_a_deploy_that_is_given_up_leaves_nothing_open(
    database_url: str, tmp_path: Path, stage: Stage
) -> None:
    async with cluster(database_url, tmp_path) as [one, other]:
        await one.deploy("hello", "one")
        puppet = Puppet(one)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: one.deploy("hello", "two", overwrite=True))
            await puppet.bring_to(stage)
            tasks.cancel_scope.cancel()
        [_, change] = one.ledger.history("hello")

        puppet.leave()
        assert one.ledger.snapshot().open_changes == []
        is_made = stage == "committed"
        assert one.ledger.stage(change.id) == ("done" if is_made else "aborted")
        for each in (one, other):
            await each.parts.follower.settled()
            found = await each.parts.registry.for_run("hello")  # nothing is held back any more
            assert found.number == (2 if is_made else 1)
        if stage != "loading":  # else it may not even have been loaded
            await until(lambda: closed(tmp_path) == ["one" if is_made else "two"] * 2)
        assert (await other.deploy("hello", "three", overwrite=True)).revision == 3


@pytest.mark.parametrize("stage", STAGES)
async def test_a_worker_that_joins_in_the_middle_serves_the_same(
    database_url: str, tmp_path: Path, stage: Stage
) -> None:
    outcomes: list[Outcome] = []
    async with worker(database_url, tmp_path) as one:
        await one.deploy("hello", "one")
        puppet = Puppet(one)

        async def deploy() -> None:
            outcomes.append(await one.deploy("hello", "two", overwrite=True, aliases=("gpt",)))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(deploy)
            await puppet.bring_to(stage)
            async with worker(database_url, tmp_path) as late:
                puppet.answer(await puppet.bring_to("committed"), "serving")
                await until(lambda: outcomes)
                await late.parts.follower.settled()
                assert [each.says("gpt") for each in (one, late)] == ["two", "two"]

    assert (outcomes[0].workers, outcomes[0].note) == (3, "")


@pytest.mark.parametrize("stage", [stage for stage in STAGES if stage != "loading"])
async def test_a_worker_that_dies_in_the_middle_is_not_waited_for(
    database_url: str, tmp_path: Path, stage: Stage
) -> None:
    outcomes: list[Outcome] = []
    async with worker(database_url, tmp_path) as one:
        puppet = Puppet(one)

        async def deploy() -> None:
            outcomes.append(await one.deploy("hello", "one"))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(deploy)
            await puppet.bring_to(stage)
            puppet.leave()
        assert (outcomes[0].workers, one.says("hello")) == (1, "one")


@pytest.mark.parametrize("stage", STAGES)
async def test_what_a_coordinator_left_is_as_it_was_or_is_done(
    database_url: str, tmp_path: Path, stage: Stage
) -> None:
    async with cluster(database_url, tmp_path) as [one, other]:
        await one.deploy("hello", "one", aliases=("gpt",))
        coordinator = Puppet(one)
        seen = one.ledger.active("hello")
        change = one.ledger.begin(Plan("hello", "undeploy", seen), coordinator=coordinator.id)
        coordinator.answer(change, "held")
        if stage != "loading":
            one.ledger.advance(change.id, old="loading", new="holding")
        if stage == "committed":
            await until(lambda: one.ledger.commit(change))
        coordinator.leave()
        is_made = stage == "committed"
        await until(lambda: one.ledger.stage(change.id) == ("done" if is_made else "aborted"))
        for each in (one, other):
            await each.parts.follower.settled()
            assert each.says("gpt") == (None if is_made else "one")


async def test_requests_wait_while_they_are_held_back_and_others_go_on(
    sqlite_url: str, tmp_path: Path
) -> None:
    async with worker(sqlite_url, tmp_path) as one:
        await one.deploy("hello", "one", aliases=("old",))
        await one.deploy("other", "other")
        puppet = Puppet(one)
        found: dict[str, int] = {}

        async def ask(name: str) -> None:
            found[name] = (await one.parts.registry.for_run(name)).number

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(
                lambda: one.deploy("hello", "two", overwrite=True, aliases=("old", "new"))
            )
            change = await puppet.bring_to("holding")
            await until(lambda: one.has_answered(change, "held"))
            for name in ("hello", "old", "new", "other"):
                tasks.start_soon(ask, name)
            await until(lambda: found)
            await anyio.wait_all_tasks_blocked()
            assert found == {"other": 1}
            puppet.answer(await puppet.bring_to("committed"), "serving")
        assert found == {"other": 1, "hello": 2, "old": 2, "new": 2}


async def test_requests_that_were_held_back_go_on_where_a_change_is_given_up(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rollout, "HOLD_SECONDS", 0.2)
    async with worker(sqlite_url, tmp_path) as one:
        await one.deploy("hello", "one")
        puppet = Puppet(one)
        numbers: list[int] = []

        async def ask() -> None:
            await puppet.bring_to("holding")
            numbers.append((await one.parts.registry.for_run("hello")).number)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            with pytest.raises(NotReady, match=r"'hello' stays as it was|New workers kept"):
                await one.deploy("hello", "two", overwrite=True)
        assert numbers == [1]


async def test_what_a_worker_cannot_load_is_told_with_the_worker_and_the_cause(
    database_url: str, tmp_path: Path
) -> None:
    async with worker(database_url, tmp_path) as one:
        puppet = Puppet(one)

        async def fail() -> None:
            change = await puppet.bring_to("loading")
            puppet.answer(change, "failed", DeployRefused("No.", hint="Try.", param="x"))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(fail)
            with pytest.raises(DeployRefused) as refused:
                await one.deploy("hello", "one")
            assert refused.value.message.startswith("'hello' cannot be served by process ")
            assert refused.value.message.endswith(". No.")
            assert (refused.value.hint, refused.value.param) == ("Try.", "x")
        [past] = one.parts.history.of("hello")
        assert past.served_at is None


@pytest.mark.parametrize("is_failed", [True, False])
async def test_what_is_made_is_made_also_if_a_worker_does_not_confirm_it(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_failed: bool
) -> None:
    monkeypatch.setattr(rollout, "CONFIRM_SECONDS", 30 if is_failed else 0.2)
    outcomes: list[Outcome] = []
    async with worker(sqlite_url, tmp_path) as one:
        puppet = Puppet(one)

        async def deploy() -> None:
            outcomes.append(await one.deploy("hello", "one"))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(deploy)
            change = await puppet.bring_to("committed")
            if is_failed:
                await until(lambda: one.has_answered(change, "serving"))
                puppet.answer(change, "failed", DeployRefused("No."))
        [outcome] = outcomes
        assert outcome.workers == 1
        assert outcome.note.startswith("It is done, and not yet confirmed by process")
        assert [past.stage for past in one.ledger.history("hello")] == ["done"]


async def test_a_change_that_others_end_is_decided_again(sqlite_url: str, tmp_path: Path) -> None:
    async with worker(sqlite_url, tmp_path) as one:
        puppet = Puppet(one)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: one.deploy("hello", "one"))
            first = await puppet.bring_to("loading")
            assert one.ledger.end(first.id, stage="aborted")
            puppet.leave()
        assert one.says("hello") == "one"
        assert one.find("hello").number == 2


async def test_a_change_that_others_end_again_and_again_is_given_up(
    sqlite_url: str, tmp_path: Path
) -> None:
    async with worker(sqlite_url, tmp_path) as one:
        puppet = Puppet(one)

        async def disturb() -> None:
            while True:
                change = await puppet.bring_to("loading")
                one.ledger.end(change.id, stage="aborted")

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(disturb)
            with pytest.raises(NotReady, match="'hello' is changed by others all the time"):
                await one.deploy("hello", "one")
            tasks.cancel_scope.cancel()


async def test_a_change_that_is_under_way_for_too_long_is_not_waited_for(
    sqlite_url: str, tmp_path: Path
) -> None:
    async with worker(sqlite_url, tmp_path, setup_timeout=1) as one:
        puppet = Puppet(one)
        plan = Plan("hello", "undeploy", None)
        change = one.ledger.begin(plan, coordinator=puppet.id)
        with pytest.raises(NotReady, match="Another change of 'hello' is under way"):
            await one.deploy("hello", "one")
        assert one.ledger.stage(change.id) == "loading"
        assert not one.ledger.history("hello")[1:]


async def test_a_change_that_could_not_be_ended_is_ended_when_the_database_answers_again(
    postgres_server: str, postgres_url: str, tmp_path: Path
) -> None:
    async with worker(postgres_url, tmp_path) as one:
        await one.deploy("hello", "one")
        puppet = Puppet(one)

        async def deploy() -> None:
            with pytest.raises(StorageUnavailable):
                await one.deploy("hello", "two", overwrite=True)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(deploy)
            await puppet.bring_to("loading")
            with outage(postgres_server, postgres_url):
                await until(lambda: not one.leads("hello"))
        puppet.leave()
        await until(lambda: one.ledger.history("hello")[-1].stage == "aborted")
        assert one.says("hello") == "one"
        assert (await one.deploy("hello", "three", overwrite=True)).revision == 3


async def test_a_worker_that_ends_while_it_loads_is_named_and_nothing_changes(
    tmp_path: Path,
) -> None:
    async with worker("sqlite://", tmp_path) as one:
        await one.deploy("it", "one")
        crashes = Puppet(one)

        async def crash() -> None:
            # It has been waited for when this worker, which is quick, has answered.
            await until(lambda: bool(one.ledger.answers(2)))
            crashes.leave()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(crash)
            with pytest.raises(DeployRefused, match="ended while it loaded the change"):
                await one.deploy("it", "two", overwrite=True)
        assert one.says("it") == "one"
