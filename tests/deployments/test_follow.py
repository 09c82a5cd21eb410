"""A worker follows what the database says, whatever happens on the way."""

from collections.abc import Mapping
from pathlib import Path

import anyio
import pytest
from sqlalchemy import update

from deployments.cluster import Puppet, Worker, closed, cluster, outage, until, worker
from hayserve import BasePipelineWrapper
from hayserve.deployments import follow
from hayserve.deployments.bundle import Bundle
from hayserve.deployments.declarations import Declarations, Entry
from hayserve.deployments.order import Order
from hayserve.deployments.plan import Plan, deploy_plan
from hayserve.deployments.revision import Content
from hayserve.deployments.revisions import Revisions
from hayserve.deployments.target import Target
from hayserve.errors import NotFound, NotReady, as_fields
from hayserve.storage.tables import contents

pytestmark = pytest.mark.anyio


async def activate(one: Worker, order: Order) -> None:
    """Make it so in the database, without asking anybody."""
    await one.parts.deployer.proven(order)
    plan = deploy_plan(order, None, aliases=order.aliases or ())
    one.ledger.activate(plan, coordinator="somebody")


async def undeploy(one: Worker, name: str) -> None:
    plan = Plan(name, "undeploy", one.ledger.active(name))
    one.ledger.activate(plan, coordinator="somebody")


async def test_what_the_database_says_is_served_in_its_order(
    database_url: str, tmp_path: Path
) -> None:
    async with worker(database_url, tmp_path) as one:
        for name in "ba":
            await activate(one, one.order(name, name, aliases=(f"{name}2",)))
        await one.parts.follower.settled()
        assert [found.name for found in one.parts.registry.deployments()] == ["b", "a"]
        one.ledger.arrange(["a"])
        await one.parts.follower.settled()
        assert [found.name for found in one.parts.registry.deployments()] == ["a", "b"]
        await undeploy(one, "b")
        await until(lambda: one.says("b2") is None)
        await until(lambda: closed(tmp_path) == ["b"])


async def test_a_worker_that_joins_serves_what_is_served(database_url: str, tmp_path: Path) -> None:
    async with worker(database_url, tmp_path) as one:
        await one.deploy("it", "one", aliases=("gpt",))
        async with worker(database_url, tmp_path) as late:
            await late.parts.follower.settled()
            assert late.says("gpt") == "one"


async def test_a_revision_that_is_replaced_and_wanted_again_goes_on(tmp_path: Path) -> None:
    async with worker("sqlite://", tmp_path) as one:
        await one.deploy("it", "one")
        before = one.find("it").wrapper
        # Both happen before this worker looks: the loop is not left in between.
        order = one.order("it", "two")
        Revisions(one.parts.database).save(order.bundle or Bundle({}))
        one.ledger.activate(deploy_plan(order, None, aliases=()), coordinator="somebody")
        puppet = Puppet(one)
        plan = Plan("it", "rollback", one.ledger.active("it"), number=1)
        change = one.ledger.begin(plan, coordinator=puppet.id)
        await until(lambda: one.has_answered(change, "loaded"))
        await one.parts.follower.settled()
        assert one.says("it") == "two"
        one.ledger.end(change.id, stage="aborted")
        puppet.leave()
        await until(lambda: closed(tmp_path) == ["one"])
        assert before is not one.find("it").wrapper


async def test_what_fails_on_one_worker_is_known_to_all(database_url: str, tmp_path: Path) -> None:
    async with cluster(database_url, tmp_path) as [one, other]:
        once = f"Path({str(tmp_path / 'first')!r}).mkdir()"
        await activate(one, one.order("it", "one", setup=once))
        for each in (one, other):
            await each.parts.follower.settled()
        served = [each.says("it") for each in (one, other)]
        assert sorted(map(str, served)) == ["None", "one"]
        failed = (one, other)[served.index(None)]
        with pytest.raises(NotFound, match="it failed to load: setup"):
            failed.find("it")
        await until(
            lambda: (
                "setup() of 'it' failed"
                in one.parts.members.live()[failed.parts.members.id].failed.get("it", "")
            )
        )
        await one.deploy("it", "two", overwrite=True)
        assert [each.says("it") for each in (one, other)] == ["two", "two"]
        await until(lambda: not one.parts.members.live()[failed.parts.members.id].failed)


async def test_what_failed_before_is_taken_out_for_what_cannot_be_loaded(tmp_path: Path) -> None:
    async with worker("sqlite://", tmp_path) as one:
        await one.deploy("it", "one")
        bundle = Bundle.of_texts({"pipeline_wrapper.py": "import nowhere"})
        await activate(one, Order("it", bundle))
        await until(lambda: one.says("it") is None)
        await one.parts.follower.settled()
        assert [found.name for found in one.parts.registry.failed()] == ["it"]


async def test_failures_of_all_nodes_are_listed(tmp_path: Path) -> None:
    async with worker("sqlite://", tmp_path) as one:
        error = as_fields(NotFound("No.", hint="Try."))
        Declarations(one.parts.database).note("there", {"it": Entry("run", error=error)})
        await one.parts.follower.settled()
        [failure] = one.parts.registry.failed()
        assert (failure.name, failure.error.code) == ("it", "not_found")


async def test_files_that_cannot_be_put_in_place_are_said(tmp_path: Path) -> None:
    async with worker("sqlite://", tmp_path) as one:
        order = one.order("it", "one")
        Revisions(one.parts.database).save(order.bundle or Bundle({}))
        (tmp_path / "data").mkdir(exist_ok=True)
        (tmp_path / "data" / "bundles").write_text("no folder")
        one.ledger.activate(deploy_plan(order, None, aliases=()), coordinator="somebody")
        await one.parts.follower.settled()
        [failure] = one.parts.registry.failed()
        assert failure.error.message.startswith("The files of 'it' cannot be put in place: Not a")


async def test_files_that_are_damaged_in_the_database_are_said(tmp_path: Path) -> None:
    async with worker("sqlite://", tmp_path) as one:
        order = one.order("it", "one")
        Revisions(one.parts.database).save(order.bundle or Bundle({}))
        with one.parts.database.writing() as connection:
            connection.execute(update(contents).values(data=b"nonsense"))
        one.ledger.activate(deploy_plan(order, None, aliases=()), coordinator="somebody")
        await one.parts.follower.settled()
        [failure] = one.parts.registry.failed()
        assert "in the database are damaged" in failure.error.message


async def test_files_that_cannot_be_taken_off_the_disk_stay(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with worker("sqlite://", tmp_path) as one:
        await one.deploy("it", "one")
        [lock] = (tmp_path / "data" / "bundles" / "it").glob("*.lock")
        lock.unlink()
        lock.mkdir()
        await one.deploy("it", "two", overwrite=True)
        await until(lambda: "files_stay" in [record.message for record in caplog.records])
        assert (await one.deploy("it", "three", overwrite=True)).revision == 3


async def test_a_load_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    hang = f"while not Path({str(gate)!r}).exists(): time.sleep(0.002)"
    async with worker("sqlite://", tmp_path, setup_timeout=1) as one:
        await activate(one, one.order("it", "one", setup=hang))
        await one.parts.follower.settled()
        gate.touch()
        [failure] = one.parts.registry.failed()
        assert failure.error.message == "Loading 'it' took longer than 1 s."


async def test_what_is_not_wanted_any_more_while_it_loads_is_given_back(tmp_path: Path) -> None:
    gate, begun = tmp_path / "gate", tmp_path / "begun"
    hang = (
        f"Path({str(begun)!r}).touch()\n        "
        f"while not Path({str(gate)!r}).exists(): time.sleep(0.002)"
    )
    async with worker("sqlite://", tmp_path) as one:
        await activate(one, one.order("it", "one", setup=hang))
        await until(begun.exists)
        with pytest.raises(NotReady, match="'it' is being loaded"):
            one.find("it")
        await undeploy(one, "it")
        await until(lambda: not one.parts.registry.loading)
        gate.touch()
        await activate(one, one.order("it", "two"))
        await until(lambda: one.says("it") == "two")


async def test_only_so_many_are_loaded_at_once(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    hang = f"while not Path({str(gate)!r}).exists(): time.sleep(0.002)"
    async with worker("sqlite://", tmp_path, startup_deploy_strategy="sequential") as one:
        for name in "abc":
            await activate(one, one.order(name, name, setup=hang))
        await until(lambda: len(one.parts.registry.loading) == 3)
        await undeploy(one, "c")  # before it has begun
        await until(lambda: len(one.parts.registry.loading) == 2)
        gate.touch()
        await one.parts.follower.settled()
        assert [found.name for found in one.parts.registry.deployments()] == ["a", "b"]


async def test_what_the_start_names_waits_until_it_is_decided(tmp_path: Path) -> None:
    async with worker("sqlite://", tmp_path, run="now") as one:
        noted = Declarations(one.parts.database)
        one.parts.follower.expect({"it": ("it", "gpt"), "other": ("other",)})
        await activate(one, one.order("it", "one"))
        await until(lambda: set(one.parts.registry.loading) == {"it", "gpt", "other"})
        assert one.says("it") is None
        noted.note(one.parts.members.node, {"it": Entry("before")})
        noted.note(one.parts.members.node, {"it": Entry("now")})
        await until(lambda: one.says("it") == "one")
        assert set(one.parts.registry.loading) == {"other"}
        noted.note(one.parts.members.node, {"": Entry("now")})
        await one.parts.follower.settled()
        await one.parts.follower.begun()
        assert one.parts.registry.loading == frozenset()


async def test_a_worker_waits_until_the_start_has_ended_also_with_nothing_to_load(
    tmp_path: Path,
) -> None:
    async with worker("sqlite://", tmp_path, run="now") as one:
        begun = False

        async def begin() -> None:
            nonlocal begun
            await one.parts.follower.begun()
            begun = True

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(begin)
            for _ in range(2):
                await one.parts.follower.settled()
                await anyio.wait_all_tasks_blocked()
            assert not begun
            entries = {"": Entry("now")}
            Declarations(one.parts.database).note(one.parts.members.node, entries)
        assert begun


async def test_a_follower_goes_on_when_the_database_answers_again(
    sqlite_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with worker(sqlite_url, tmp_path) as one:
        await one.deploy("it", "one")
        one.parts.database.close()
        one.parts.pulse.beat()
        await until(lambda: "cannot_follow" in [record.message for record in caplog.records])
        assert one.says("it") == "one"
        one.parts.database.open()
        assert (await one.deploy("it", "two", overwrite=True)).revision == 2


async def test_workers_of_several_machines_give_signs_of_life(
    postgres_server: str,
    postgres_url: str,
    tmp_path: Path,
    *,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(follow, "BEAT_SECONDS", 0.02)
    async with worker(postgres_url, tmp_path) as one:
        bundle = Bundle.of_texts({"pipeline_wrapper.py": "import nowhere"})
        await activate(one, Order("it", bundle))
        own = one.parts.members.id
        await until(lambda: one.parts.members.live()[own].failed)
        one.parts.members.leave()  # as if the others had given it up
        await until(lambda: own in one.parts.members.live())
        await until(lambda: one.parts.members.live()[own].failed)
        with outage(postgres_server, postgres_url):
            await until(lambda: "no_sign_of_life" in [record.message for record in caplog.records])
        await undeploy(one, "it")
        await until(lambda: not one.parts.members.live()[own].failed)


async def test_all_is_given_back_in_the_end(tmp_path: Path) -> None:
    async with worker("sqlite://", tmp_path) as one:
        for name in "ab":
            await one.deploy(name, name)
        await one.parts.follower.close()
        assert sorted(closed(tmp_path)) == ["a", "b"]
        assert one.parts.registry.deployments() == []


class Wrapper(BasePipelineWrapper):
    def setup(self) -> None: ...

    def run_api(self) -> str:
        return "memory"


async def test_a_thing_is_served_by_those_that_have_it(sqlite_url: str, tmp_path: Path) -> None:
    things: Mapping[str, Target] = {"it": Target("it", "thing", Path(), thing=Wrapper())}
    async with (
        worker(sqlite_url, tmp_path, things=things) as one,
        worker(sqlite_url, tmp_path) as other,
    ):
        plan = Plan("it", "deploy", None, content=Content("thing", "", place="it"))
        one.ledger.activate(plan, coordinator="somebody")
        for each in (one, other):
            await each.parts.follower.settled()
        one.parts.follower.move("it")  # nobody else can make it
        await one.parts.follower.settled()
        assert one.find("it").loop is None
        assert one.says("it") == "memory"
        with pytest.raises(NotFound, match="this process was not given it"):
            other.find("it")


async def test_a_change_that_holds_requests_back_for_too_long_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "HELD_TOO_LONG_SECONDS", 0.05)
    async with worker("sqlite://", tmp_path) as one:
        await one.deploy("it", "one")
        stands_still = Puppet(one)
        plan = Plan("it", "undeploy", one.ledger.active("it"))
        change = one.ledger.begin(plan, coordinator=stands_still.id)
        assert one.ledger.advance(change.id, old="loading", new="holding")
        await until(lambda: one.ledger.stage(change.id) == "aborted")
        assert (await one.parts.registry.for_run("it")).number == 1
        stands_still.leave()


async def test_what_could_not_be_loaded_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "RETRY_SECONDS", 0.01)
    monkeypatch.setattr(follow, "BEAT_SECONDS", 0.05)
    async with worker("sqlite://", tmp_path) as one:
        go = tmp_path / "go"
        await activate(one, one.order("it", "one", setup=f"open({str(go)!r}).close()"))
        await until(lambda: bool(one.parts.registry.failed()))
        go.write_text("")
        await until(lambda: one.says("it") == "one")
        assert one.parts.registry.failed() == []


async def test_what_is_moved_is_served_on_a_loop_of_its_own_and_the_old_one_ends(
    tmp_path: Path,
) -> None:
    async with worker("sqlite://", tmp_path) as one:
        await one.deploy("it", "one", aliases=("gpt",))
        before = one.find("it")
        before.blocked.note(2.5, is_new=True)
        before.uses.take()
        one.parts.follower.move("gpt")
        one.parts.follower.move("it")
        await until(lambda: one.find("gpt").loop is not None)
        after = one.find("it")
        assert (after.number, after.names) == (1, ("it", "gpt"))
        assert after.blocked is before.blocked
        assert closed(tmp_path) == []
        before.uses.give_back()
        await until(lambda: closed(tmp_path) == ["one"])
        one.parts.follower.move("it")
        one.parts.follower.move("nothing")
        await one.parts.follower.settled()
        assert one.find("it") is after
        await one.deploy("it", "two", overwrite=True)
        assert one.find("it").loop is None
        await until(lambda: closed(tmp_path) == ["one", "one"])
        assert after.loop is not None
        await until(after.loop.loop.is_closed)


async def test_what_cannot_be_loaded_again_stays_where_it_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with worker("sqlite://", tmp_path) as one:
        await one.deploy("it", "one", setup=f"Path({str(tmp_path / 'first')!r}).mkdir()")
        one.parts.follower.move("it")
        await until(lambda: "not_loaded" in caplog.text)
        await one.parts.follower.settled()
        assert one.find("it").loop is None
        assert one.says("it") == "one"


async def test_what_is_replaced_while_it_is_moved_is_not_served_again(tmp_path: Path) -> None:
    async with worker("sqlite://", tmp_path) as one:
        await one.deploy("it", "one", setup=waiting_for(tmp_path / "go"))
        (tmp_path / "go").unlink()
        one.parts.follower.move("it")
        await one.deploy("it", "two", overwrite=True)
        (tmp_path / "go").touch()
        await until(lambda: closed(tmp_path) == ["one", "one"])
        assert one.says("it") == "two"


def waiting_for(file: Path) -> str:
    file.touch()
    return f"while not Path({str(file)!r}).exists(): time.sleep(0.005)"
