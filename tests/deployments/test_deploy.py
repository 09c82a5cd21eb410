"""Deployments come into service and leave it; over HTTP this is told in protocols/admin."""

import logging
from pathlib import Path
from typing import Any

import anyio
import pytest
from sqlalchemy import func, select, update

from deployments.cluster import Puppet, Worker, closed, cluster, until, worker
from hayserve import BasePipelineWrapper
from hayserve.deployments.bundle import Bundle
from hayserve.deployments.order import Order, Outcome
from hayserve.deployments.plan import deploy_plan
from hayserve.deployments.proof import Proof
from hayserve.deployments.revision import Author
from hayserve.deployments.target import Target
from hayserve.errors import (
    DeployRefused,
    InvalidRequest,
    Misconfigured,
    NameTaken,
    NotFound,
    NotReady,
)
from hayserve.storage.tables import bundles, contents

pytestmark = pytest.mark.anyio


def proof_of(target: Target, *, answer: str | None = None) -> Proof:
    return Proof(target.name, "unknown", "", [], answer=answer)


def number_of_bundles(one: Worker) -> int:
    with one.parts.database.reading() as connection:
        return connection.scalar(select(func.count()).select_from(bundles)) or 0


def folders_of(folder: Path, name: str) -> list[Path]:
    return [path for path in (folder / "data" / "bundles" / name).glob("*") if path.is_dir()]


async def test_a_deploy_says_what_came_of_it(tmp_path: Path) -> None:
    async with worker("sqlite://", tmp_path) as one:
        first = await one.deploy("it", "one", aliases=("gpt", "it", "gpt"))
        order = one.order("it", "one")
        assert first == Outcome("it", 1, digest=order.content.digest, aliases=("gpt",))
        again = await one.deploy("it", "one", aliases=("gpt", "it"))
        assert (again.changed, again.note) == (False, "Exactly this is served already.")
        fresh = await one.deploy("it", "one", fresh=True, overwrite=True)
        assert (fresh.revision, fresh.changed, fresh.aliases) == (2, True, ("gpt",))


async def test_the_same_files_with_other_names_are_the_same_instance(tmp_path: Path) -> None:
    async with worker("sqlite://", tmp_path) as one:
        await one.deploy("it", "one", aliases=("a",))
        before = one.find("it").wrapper
        other = await one.deploy("it", "one", aliases=("b",))
        assert (other.revision, other.changed, other.aliases) == (1, True, ("b",))
        assert one.find("b").wrapper is before
        assert one.says("a") is None
        passing = await one.deploy("it", "one", keep=False)
        assert (passing.revision, passing.changed, passing.aliases) == (1, True, ("b",))
        active = one.ledger.active("it")
        assert active is not None
        assert not active.keep


async def test_a_name_that_is_served_needs_overwrite(tmp_path: Path) -> None:
    async with worker("sqlite://", tmp_path) as one:
        await one.deploy("it", "one", aliases=("gpt",))
        with pytest.raises(NameTaken, match="Pipeline 'it' already exists"):
            await one.deploy("it", "two")
        with pytest.raises(NameTaken, match="'gpt' belongs to the deployment 'it'"):
            await one.deploy("gpt", "two", overwrite=True)
        assert one.says("it") == "one"


async def test_what_could_not_be_loaded_here_can_be_deployed_over(tmp_path: Path) -> None:
    async with worker("sqlite://", tmp_path) as one:
        order = Order("it", Bundle.of_texts({"pipeline_wrapper.py": "import nowhere"}))
        await one.parts.deployer.proven(order)
        one.ledger.activate(deploy_plan(order, None, aliases=()), coordinator="me")
        await one.parts.follower.settled()
        with pytest.raises(NotFound, match="it failed to load"):
            one.find("it")
        assert (await one.deploy("it", "two")).revision == 2
        assert one.says("it") == "two"
        assert not one.parts.registry.failed()


async def test_what_the_proof_refuses_reaches_no_worker_and_leaves_no_files(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with worker("sqlite://", tmp_path) as one:

        async def refuse(target: Target, *, check: str | None = None) -> Proof:
            assert (target.path / "pipeline_wrapper.py").is_file()
            assert check == "Hi?"
            raise DeployRefused("No.", hint="Try.")

        one.prove_with(refuse)
        with pytest.raises(DeployRefused) as refused:
            await one.deploy("it", "one", check="Hi?")
        assert refused.value.hint == "Try."
        assert [record.message for record in caplog.records] == ["deploy_refused"]
        assert folders_of(tmp_path, "it") == []
        assert number_of_bundles(one) == 0
        assert one.ledger.history("it") == []


async def test_a_refused_redeploy_says_that_the_old_one_goes_on(tmp_path: Path) -> None:
    async with worker("sqlite://", tmp_path) as one:
        await one.deploy("it", "one")
        bundle = Bundle.of_texts({"pipeline_wrapper.py": "import nowhere"})
        with pytest.raises(DeployRefused) as refused:
            await one.parts.deployer.deploy(Order("it", bundle, overwrite=True))
        assert refused.value.hint.endswith("What was deployed before goes on serving.")
        assert one.says("it") == "one"


async def test_the_answer_to_the_check_is_told(tmp_path: Path) -> None:
    async with worker("sqlite://", tmp_path) as one:

        async def prove(target: Target, *, check: str | None = None) -> Proof:
            return proof_of(target, answer=f"answer to {check}")

        one.prove_with(prove)
        assert (await one.deploy("it", "one", check="Hi?")).answer == "answer to Hi?"
        assert (await one.deploy("it", "one", check="And now?")).answer == "answer to And now?"
        assert (await one.deploy("it", "one")).answer is None


async def test_files_that_another_takes_away_during_the_proof_are_there(
    database_url: str, tmp_path: Path
) -> None:
    async with worker(database_url, tmp_path) as one:
        await one.deploy("same", "one")
        proofs: list[str] = []

        async def prove(target: Target, *, check: str | None = None) -> Proof:
            proofs.append(target.name)
            if len(proofs) == 1:
                await one.parts.deployer.undeploy("same", purge=True)
            return proof_of(target)

        one.prove_with(prove)
        assert (await one.deploy("it", "one")).revision == 1
        assert one.says("it") == "one"
        assert proofs == ["it"]


async def test_other_names_that_are_given_during_the_proof_stay(
    database_url: str, tmp_path: Path
) -> None:
    async with worker(database_url, tmp_path) as one:
        await one.deploy("it", "one")

        async def prove(target: Target, *, check: str | None = None) -> Proof:
            await one.parts.deployer.alias("it", add=["gpt"])
            return proof_of(target)

        one.prove_with(prove)
        assert (await one.deploy("it", "two", overwrite=True)).aliases == ("gpt",)
        assert one.says("gpt") == "two"


async def test_names_that_are_given_at_the_same_time_are_all_given(
    database_url: str, tmp_path: Path
) -> None:
    async with cluster(database_url, tmp_path) as workers:
        await workers[0].deploy("it", "one")
        async with anyio.create_task_group() as tasks:
            for number, one in enumerate(workers * 2):
                tasks.start_soon(
                    lambda one=one, number=number: one.parts.deployer.alias(
                        "it", add=[f"a{number}"]
                    )
                )
        assert set(workers[1].find("it").aliases) == {"a0", "a1", "a2", "a3"}


async def test_an_alias_that_was_taken_during_the_proof_is_refused(tmp_path: Path) -> None:
    async with worker("sqlite://", tmp_path) as one:

        async def prove(target: Target, *, check: str | None = None) -> Proof:
            if target.name == "slow":
                await one.deploy("fast", "fast", aliases=("x",))
            return proof_of(target)

        one.prove_with(prove)
        with pytest.raises(NameTaken, match="'x' belongs to the deployment 'fast'"):
            await one.deploy("slow", "slow", aliases=("x",))
        assert one.says("slow") is None
        assert one.says("x") == "fast"


async def test_a_wrapper_that_hangs_in_setup_holds_nobody_else_up(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    async with worker("sqlite://", tmp_path) as one:
        hang = f"while not Path({str(gate)!r}).exists(): time.sleep(0.002)"
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: one.deploy("slow", "slow", setup=hang))
            await until(lambda: one.ledger.snapshot().open_changes)
            await one.deploy("fast", "fast")
            assert one.says("fast") == "fast"
            assert one.says("slow") is None
            gate.touch()
        assert one.says("slow") == "slow"


async def test_a_wrapper_that_takes_too_long_is_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    gate = tmp_path / "gate"
    async with worker("sqlite://", tmp_path, setup_timeout=1) as one:
        hang = f"while not Path({str(gate)!r}).exists(): time.sleep(0.002)"
        with pytest.raises((DeployRefused, NotReady), match=r"took longer than 1 s|within 1 s"):
            await one.deploy("slow", "slow", setup=hang)
        gate.touch()
        assert one.says("slow") is None


async def test_what_is_being_loaded_cannot_be_changed(tmp_path: Path) -> None:
    async with worker("sqlite://", tmp_path) as one:
        one.parts.registry.loading = frozenset({"it"})
        for change in (
            one.deploy("it", "one"),
            one.parts.deployer.undeploy("it"),
            one.parts.deployer.rollback("it"),
            one.parts.deployer.alias("it", add=["x"]),
        ):
            with pytest.raises(NotReady, match="'it' is being loaded"):
                await change


async def test_an_undeploy_takes_all_names_away_and_closes_what_was_served(
    tmp_path: Path,
) -> None:
    async with worker("sqlite://", tmp_path) as one:
        await one.deploy("it", "one", aliases=("gpt",))
        with pytest.raises(InvalidRequest, match="'gpt' is an alias of 'it'"):
            await one.parts.deployer.undeploy("gpt")
        outcome = await one.parts.deployer.undeploy("it", author=Author("key", "here"))
        assert outcome == Outcome("it", None)
        assert [one.says(name) for name in ("it", "gpt")] == [None, None]
        await until(lambda: closed(tmp_path) == ["one"])
        for name in ("it", "never"):
            with pytest.raises(NotFound, match=f"No deployment is named '{name}'"):
                await one.parts.deployer.undeploy(name)
        assert one.ledger.history("it")[-1].author == Author("key", "here")


async def test_what_is_purged_is_forgotten_on_the_disk_and_in_the_database(
    database_url: str, tmp_path: Path
) -> None:
    async with worker(database_url, tmp_path) as one:
        for word in ("one", "two"):
            await one.deploy("it", word, overwrite=True)
        await one.parts.deployer.undeploy("it")
        await until(lambda: closed(tmp_path) == ["one", "two"])
        outcome = await one.parts.deployer.undeploy("it", purge=True)
        assert outcome == Outcome("it", None)
        await until(lambda: folders_of(tmp_path, "it") == [])
        assert number_of_bundles(one) == 0
        with pytest.raises(NotFound):
            await one.parts.deployer.undeploy("it", purge=True)
        assert (await one.deploy("it", "three")).revision == 1
        await one.parts.deployer.undeploy("it", purge=True)
        with pytest.raises(NotFound):
            await one.parts.deployer.rollback("it")


async def test_what_is_deployed_again_during_an_undeploy_is_not_purged(
    database_url: str, tmp_path: Path
) -> None:
    async with worker(database_url, tmp_path) as one:
        await one.deploy("it", "one")
        puppet = Puppet(one)
        outcomes: list[Outcome] = []

        async def undeploy() -> None:
            outcomes.append(await one.parts.deployer.undeploy("it", purge=True))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(undeploy)
            change = await puppet.bring_to("committed")
            one.ledger.end(change.id, stage="done")
            seen = one.ledger.active("it")
            assert seen is None
            order = one.order("it", "one")
            one.ledger.activate(deploy_plan(order, None, aliases=()), coordinator="other")
            puppet.leave()
        assert outcomes[0].note.endswith("It was deployed again meanwhile: its past stays.")
        await one.parts.follower.settled()
        assert one.says("it") == "one"


async def test_a_rollback_serves_what_was_served_with_the_names_of_today(
    database_url: str, tmp_path: Path
) -> None:
    async with worker(database_url, tmp_path) as one:
        await one.deploy("it", "one", aliases=("a",), keep=False)
        await one.deploy("it", "two", aliases=("b",), keep=False, overwrite=True)
        back = await one.parts.deployer.rollback("it", author=Author("key"))
        assert (back.revision, back.aliases, back.changed) == (1, ("b",), True)
        active = one.ledger.active("it")
        assert active is not None
        assert not active.keep
        same = await one.parts.deployer.rollback("it", to=1)
        assert (same.revision, same.changed) == (1, False)
        with pytest.raises(InvalidRequest, match="no earlier revision"):
            await one.parts.deployer.rollback("it")
        with pytest.raises(NotFound, match="'it' has no revision 9"):
            await one.parts.deployer.rollback("it", to=9)
        assert (await one.parts.deployer.rollback("it", to=2)).revision == 2
        assert one.says("b") == "two"


async def test_a_rollback_brings_back_what_was_undeployed(tmp_path: Path) -> None:
    async with worker("sqlite://", tmp_path) as one:
        await one.deploy("it", "one", aliases=("gpt",), keep=False)
        await one.parts.deployer.undeploy("it")
        await one.deploy("other", "other", aliases=("gpt",))
        with pytest.raises(InvalidRequest, match="'gpt' is an alias of 'other'"):
            await one.parts.deployer.rollback("gpt")
        await one.parts.deployer.alias("other", remove=["gpt"])
        assert (await one.parts.deployer.rollback("it")).aliases == ("gpt",)
        active = one.ledger.active("it")
        assert active is not None
        assert not active.keep


async def test_a_rollback_to_what_was_never_served_has_no_names(tmp_path: Path) -> None:
    async with worker("sqlite://", tmp_path) as one:
        order = one.order("it", "one")
        await one.parts.deployer.proven(order)
        plan = deploy_plan(order, None, aliases=("gpt",))
        change = one.ledger.begin(plan, coordinator=one.parts.members.id)
        one.ledger.end(change.id, stage="aborted")
        assert (await one.parts.deployer.rollback("it", to=1)).aliases == ()
        assert one.says("it") == "one"


async def test_a_rollback_is_proven(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with worker("sqlite://", tmp_path) as one:
        for word in ("one", "two"):
            await one.deploy("it", word, overwrite=True)

        async def refuse(target: Target, *, check: str | None = None) -> Proof:
            raise DeployRefused("No.")

        one.prove_with(refuse)
        with pytest.raises(DeployRefused) as refused:
            await one.parts.deployer.rollback("it")
        assert refused.value.hint == "What was deployed before goes on serving."
        assert one.says("it") == "two"

        async def accept(target: Target, *, check: str | None = None) -> Proof:
            return proof_of(target)

        one.prove_with(accept)
        await one.parts.deployer.rollback("it")
        assert one.says("it") == "one"


async def test_names_are_given_and_taken(tmp_path: Path) -> None:
    async with worker("sqlite://", tmp_path) as one:
        await one.deploy("it", "one")
        more = await one.parts.deployer.alias("it", add=["a", "b"])
        assert (more.aliases, more.revision) == (("a", "b"), 1)
        same = await one.parts.deployer.alias("it", add=["a"])
        assert same.changed is False
        fewer = await one.parts.deployer.alias("it", add=["c"], remove=["a"])
        assert fewer.aliases == ("b", "c")
        with pytest.raises(InvalidRequest):
            await one.parts.deployer.alias("it", add=["status"])
        with pytest.raises(NotFound):
            await one.parts.deployer.alias("no", add=["x"])
        await one.deploy("other", "other")
        with pytest.raises(NameTaken):
            await one.parts.deployer.alias("other", add=["c"])


async def test_files_that_are_damaged_in_the_database_are_not_served(
    database_url: str, tmp_path: Path
) -> None:
    async with worker(database_url, tmp_path) as one:
        for word in ("one", "two"):
            await one.deploy("it", word, overwrite=True)
        with one.parts.database.writing() as connection:
            connection.execute(update(contents).values(data=b"nonsense"))
        with pytest.raises(Misconfigured, match="in the database are damaged"):
            await one.parts.deployer.rollback("it")
        assert one.says("it") == "two"


async def test_files_that_were_changed_by_hand_are_put_right(tmp_path: Path) -> None:
    async with worker("sqlite://", tmp_path) as one:
        for word in ("one", "two"):
            await one.deploy("it", word, overwrite=True)
        for folder in folders_of(tmp_path, "it"):
            (folder / "pipeline_wrapper.py").write_text("import nowhere")
        await one.parts.deployer.rollback("it")
        assert one.says("it") == "one"


async def test_a_disk_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    async with worker("sqlite://", tmp_path) as one:
        (tmp_path / "data").mkdir(exist_ok=True)
        (tmp_path / "data" / "bundles").write_text("no folder")
        with pytest.raises(Misconfigured, match="What is deployed cannot be stored: Not a dir"):
            await one.deploy("it", "one")


async def test_a_thing_in_memory_is_deployed_without_a_proof(tmp_path: Path) -> None:
    class Wrapper(BasePipelineWrapper):
        def setup(self) -> None: ...

        def run_api(self) -> str:
            return "memory"

    async def refuse(target: Target, *, check: str | None = None) -> Proof:
        raise DeployRefused("No.")

    things = {"it": Target("it", "thing", Path(), thing=Wrapper)}
    async with worker("sqlite://", tmp_path, things=things) as one:
        one.prove_with(refuse)
        await one.parts.deployer.deploy(Order("it", None, kind="thing", place="it"))
        assert one.says("it") == "memory"
        await one.parts.deployer.undeploy("it")
        await one.parts.deployer.rollback("it")
        with pytest.raises(DeployRefused, match="'no' is an object in memory"):
            await one.parts.deployer.deploy(Order("no", None, kind="thing", place="no"))


async def test_it_is_logged_what_was_changed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="hayserve")
    async with worker("sqlite://", tmp_path) as one:
        await one.deploy("it", "one")
        await one.parts.deployer.undeploy("it")
    said: list[Any] = [
        (vars(record)["action"], vars(record)["revision"])
        for record in caplog.records
        if record.message == "changed"
    ]
    assert said == [("deploy", 1), ("undeploy", None)]
