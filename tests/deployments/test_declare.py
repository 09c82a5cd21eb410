"""What a server is started with becomes what should be served."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from deployments.cluster import Worker, worker
from hayserve import BasePipelineWrapper
from hayserve.deployments.order import Order
from hayserve.deployments.proof import Proof
from hayserve.deployments.target import Target, targets_at
from hayserve.errors import DeployRefused, NotFound
from server.serving import greeting, put

pytestmark = pytest.mark.anyio

YAML = """
components:
  prompt:
    type: haystack.components.builders.prompt_builder.PromptBuilder
    init_parameters: {template: "Hi {{ name }}"}
inputs: {name: prompt.name}
outputs: {text: prompt.prompt}
"""


class Thing(BasePipelineWrapper):
    def setup(self) -> None: ...

    def run_api(self) -> str:
        return "memory"


@asynccontextmanager
async def started(
    url: str, folder: Path, *targets: Target, run: str = "run", node: str = ""
) -> AsyncGenerator[Worker]:
    """A worker of a server that was started with `targets`."""
    things = {target.name: target for target in targets if target.kind == "thing"}
    async with worker(url, folder, things=things, run=run) as one:
        if node:
            one.parts.members.node = node
        await start(one, *targets)
        yield one


async def start(one: Worker, *targets: Target) -> None:
    await one.parts.declarer.declare(targets)
    await one.parts.follower.settled()
    await one.parts.declarer.finish()


def folder_of(path: Path, name: str, word: str = "one", *aliases: str) -> Target:
    put(path / name, greeting(word))
    return Target(name, "folder", path / name, aliases=aliases, origin="pipelines dir")


def served(one: Worker) -> dict[str, str | None]:
    return {found.name: one.says(found.name) for found in one.parts.registry.deployments()}


def numbers(one: Worker) -> dict[str, int]:
    return {found.name: found.number for found in one.parts.registry.deployments()}


def failures(one: Worker) -> dict[str, str]:
    return {failed.name: failed.error.message for failed in one.parts.registry.failed()}


def all_kinds(folder: Path) -> list[Target]:
    (folder / "hi.yml").write_text(YAML)
    (folder / "agents.py").write_text(greeting("object"))
    return [
        folder_of(folder, "folder"),
        *targets_at(str(folder / "hi.yml")),
        *targets_at(str(folder / "agents.py")),
        Target("thing", "thing", Path(), thing=Thing, description="Says."),
    ]


async def test_everything_that_can_be_named_is_served(database_url: str, tmp_path: Path) -> None:
    targets = all_kinds(tmp_path)
    for _ in range(2):
        async with started(database_url, tmp_path, *targets) as one:
            assert numbers(one) == {"folder": 1, "hi": 1, "agents": 1, "thing": 1}
            said = [one.says(name) for name in ("folder", "agents", "thing")]
            assert said == ["one", "object", "memory"]
            assert one.find("thing").description == "Says."
            [past] = one.parts.history.of("folder")
            assert past.revision.origin == "pipelines dir"
            assert past.revision.author.by == "pipelines dir"
            assert past.revision.author.where == str(tmp_path / "folder")
            [in_memory] = one.parts.history.of("thing")
            assert in_memory.revision.author.where == ""


async def test_what_has_changed_becomes_a_new_revision(sqlite_url: str, tmp_path: Path) -> None:
    first = [folder_of(tmp_path, "a"), folder_of(tmp_path, "b", "one", "x", "b", "x")]
    async with started(sqlite_url, tmp_path, *first):
        pass
    second = [folder_of(tmp_path, "a", "two"), replace(first[1], aliases=("y",))]
    async with started(sqlite_url, tmp_path, *second) as one:
        assert numbers(one) == {"a": 2, "b": 1}
        assert served(one) == {"a": "two", "b": "one"}
        assert one.find("b").aliases == ("y",)
    again = replace(second[1], aliases=("y", "b"))
    async with started(sqlite_url, tmp_path, second[0], again) as one:
        assert [change.action for change in one.ledger.history("b")] == ["deploy", "alias"]


async def test_at_a_start_the_first_gets_a_name_or_alias(sqlite_url: str, tmp_path: Path) -> None:
    targets = [
        folder_of(tmp_path / "p", "a", "first", "x"),
        folder_of(tmp_path / "q", "a", "second"),
        folder_of(tmp_path / "p", "b", "third", "x"),
        folder_of(tmp_path / "p", "x"),
        folder_of(tmp_path / "p", "status"),
    ]
    async with started(sqlite_url, tmp_path, *targets) as one:
        assert served(one) == {"a": "first"}
        failed = failures(one)
        assert set(failed) == {"a", "b", "x", "status"}
        assert "the name 'x' is taken by" in failed["b"]


async def test_what_is_not_kept_is_gone_after_a_start_of_the_whole_server(
    sqlite_url: str, tmp_path: Path
) -> None:
    async with started(sqlite_url, tmp_path, run="first") as one:
        await one.deploy("kept", "kept")
        await one.deploy("passing", "passing", keep=False)
        async with started(sqlite_url, tmp_path, run="second") as other:  # beside the first
            assert served(other) == {"kept": "kept", "passing": "passing"}
    async with started(sqlite_url, tmp_path, run="third") as one:
        assert served(one) == {"kept": "kept"}


async def test_what_cannot_be_served_is_listed_and_the_older_one_served(
    sqlite_url: str, tmp_path: Path
) -> None:
    good, bad = folder_of(tmp_path, "good"), folder_of(tmp_path, "bad")
    async with started(sqlite_url, tmp_path, good, bad):
        pass
    (bad.path / "pipeline_wrapper.py").unlink()
    async with started(sqlite_url, tmp_path, good, bad) as one:
        assert served(one) == {"good": "one", "bad": "one"}
        assert "no 'pipeline_wrapper.py'" in failures(one)["bad"]
    put(bad.path, greeting("mended"))
    async with started(sqlite_url, tmp_path, good, bad) as one:
        assert served(one) == {"good": "one", "bad": "mended"}
        assert failures(one) == {}


async def test_what_its_proof_refuses_is_listed(sqlite_url: str, tmp_path: Path) -> None:

    async def refuse(target: Target, *, check: str | None = None) -> Proof:
        raise DeployRefused("No.")

    async with worker(sqlite_url, tmp_path) as one:
        one.prove_with(refuse)
        await start(one, folder_of(tmp_path, "a"))
        assert failures(one) == {"a": "No."}
        assert one.parts.registry.deployments() == []


async def test_what_is_not_tried_out_is_served_one_after_the_other(tmp_path: Path) -> None:
    async with worker("sqlite://", tmp_path, startup_deploy_strategy="sequential") as one:
        await start(one, folder_of(tmp_path, "a"), folder_of(tmp_path, "b"))
        assert served(one) == {"a": "one", "b": "one"}


async def test_a_start_beside_others_is_a_deploy_to_them(database_url: str, tmp_path: Path) -> None:
    async with started(database_url, tmp_path, run="first") as one:
        targets = [folder_of(tmp_path, "a"), folder_of(tmp_path, "bad")]
        put(tmp_path / "bad", "import nowhere")
        async with started(database_url, tmp_path, *targets, run="second") as other:
            assert [served(each) for each in (one, other)] == [{"a": "one"}] * 2
            assert "nowhere" in failures(other)["bad"]


async def test_what_was_undeployed_stays_so_until_it_changes_or_is_named(
    sqlite_url: str, tmp_path: Path
) -> None:
    target = folder_of(tmp_path, "a")
    async with started(sqlite_url, tmp_path, target) as one:
        outcome = await one.parts.deployer.undeploy("a")
        assert outcome.note.startswith("Its files stay where they are")
    async with started(sqlite_url, tmp_path, target) as one:
        assert served(one) == {}
    async with started(sqlite_url, tmp_path, folder_of(tmp_path, "a", "two")) as one:
        assert served(one) == {"a": "two"}
        await one.parts.deployer.undeploy("a")
    named = replace(target, origin="command line")
    async with started(sqlite_url, tmp_path, named) as one:
        assert served(one) == {"a": "two"}


async def test_what_was_undeployed_twice_stays_so(sqlite_url: str, tmp_path: Path) -> None:

    target = folder_of(tmp_path, "a")
    async with started(sqlite_url, tmp_path, target) as one:
        await one.parts.deployer.undeploy("a")
        with pytest.raises(NotFound):
            await one.parts.deployer.undeploy("a")
    async with started(sqlite_url, tmp_path, target) as one:
        assert served(one) == {}


async def test_a_failure_that_was_undeployed_is_not_listed_by_any_worker(
    sqlite_url: str, tmp_path: Path
) -> None:
    target = folder_of(tmp_path, "a")
    (target.path / "pipeline_wrapper.py").unlink()
    async with (
        started(sqlite_url, tmp_path, target) as one,
        worker(sqlite_url, tmp_path) as other,
    ):
        await other.parts.follower.settled()
        assert [set(failures(each)) for each in (one, other)] == [{"a"}, {"a"}]
        await other.parts.deployer.undeploy("a")
        assert [failures(each) for each in (one, other)] == [{}, {}]


async def test_what_was_deployed_over_stays_until_the_files_change(
    sqlite_url: str, tmp_path: Path
) -> None:
    target = folder_of(tmp_path, "a")
    async with started(sqlite_url, tmp_path, target) as one:
        await one.deploy("a", "deployed", overwrite=True)
    async with started(sqlite_url, tmp_path, target) as one:
        assert served(one) == {"a": "deployed"}
    async with started(sqlite_url, tmp_path, target, node="other") as one:
        assert served(one) == {"a": "deployed"}  # it is the same there
    async with started(sqlite_url, tmp_path, folder_of(tmp_path, "a", "two")) as one:
        assert served(one) == {"a": "two"}


async def test_what_was_deployed_before_is_replaced_by_what_is_named(
    sqlite_url: str, tmp_path: Path
) -> None:
    async with started(sqlite_url, tmp_path) as one:
        await one.deploy("a", "deployed")
    async with started(sqlite_url, tmp_path, folder_of(tmp_path, "a")) as one:
        assert served(one) == {"a": "one"}


async def test_what_is_not_named_any_more_is_not_served_unless_it_was_deployed(
    sqlite_url: str, tmp_path: Path
) -> None:
    targets = [folder_of(tmp_path, name) for name in "abc"]
    async with started(sqlite_url, tmp_path, *targets) as one:
        await one.deploy("b", "deployed", overwrite=True)
        await one.parts.deployer.undeploy("c")
    async with started(sqlite_url, tmp_path, node="other") as one:
        assert served(one) == {"a": "one", "b": "deployed"}  # that node never named them
    async with started(sqlite_url, tmp_path) as one:
        assert served(one) == {"b": "deployed"}


async def test_two_nodes_with_the_same_folders_make_one_revision(
    database_url: str, tmp_path: Path
) -> None:
    target = folder_of(tmp_path, "a")
    async with (
        started(database_url, tmp_path, target, run="here") as one,
        started(database_url, tmp_path, target, run="there", node="there") as other,
    ):
        assert [numbers(each) for each in (one, other)] == [{"a": 1}] * 2
        changed = folder_of(tmp_path, "a", "two")
        await start(other, changed)
        assert [served(each) for each in (one, other)] == [{"a": "two"}] * 2


async def test_files_that_change_become_a_new_revision_at_once(
    sqlite_url: str, tmp_path: Path
) -> None:
    target = folder_of(tmp_path, "a")
    async with started(sqlite_url, tmp_path, target) as one:
        put(target.path, greeting("two"))
        await one.parts.declarer.renew(target)
        assert (served(one), numbers(one)) == ({"a": "two"}, {"a": 2})
        await one.parts.declarer.renew(target)
        assert numbers(one) == {"a": 2}
        put(target.path, "import nowhere")
        await one.parts.declarer.renew(target)
        await one.parts.follower.settled()
        assert served(one) == {"a": "two"}
        assert "nowhere" in failures(one)["a"]
        (target.path / "pipeline_wrapper.py").unlink()
        await one.parts.declarer.renew(target)
        put(target.path, greeting("three"))
        await one.parts.declarer.renew(target)
        await one.parts.follower.settled()
        assert (served(one), failures(one)) == ({"a": "three"}, {})
    async with started(sqlite_url, tmp_path, target) as one:
        assert served(one) == {"a": "three"}


async def test_an_object_is_made_anew_whatever_of_its_files_changed(
    sqlite_url: str, tmp_path: Path
) -> None:
    (tmp_path / "agents.py").write_text(greeting("one"))
    [target] = targets_at(str(tmp_path / "agents.py"))
    async with started(sqlite_url, tmp_path, target) as one:
        await one.parts.declarer.renew(target)
        assert numbers(one) == {"agents": 2}


async def test_files_of_what_was_undeployed_or_deployed_over_change_nothing(
    sqlite_url: str, tmp_path: Path
) -> None:
    targets = [folder_of(tmp_path, name) for name in "abc"]
    put(tmp_path / "c", "import nowhere")
    async with started(sqlite_url, tmp_path, *targets) as one:
        await one.parts.deployer.undeploy("a")
        await one.deploy("b", "deployed", overwrite=True)
        for target in targets:
            put(target.path, greeting("two"))
            await one.parts.declarer.renew(target)
        assert served(one) == {"b": "deployed", "c": "two"}  # what failed is tried again


async def test_a_file_that_cannot_be_read_is_a_failure_of_its_own(
    sqlite_url: str, tmp_path: Path
) -> None:
    gone: Sequence[Target] = [
        Target("a", "yaml", tmp_path / "gone.yml"),
        Target("b", "object", tmp_path / "gone.py", attribute="x"),
        Target("c", "folder", tmp_path / "gone"),
    ]
    async with started(sqlite_url, tmp_path, *gone, folder_of(tmp_path, "d")) as one:
        assert served(one) == {"d": "one"}
        assert set(failures(one)) == {"a", "b", "c"}


async def test_parameters_of_things_are_given_to_setup(sqlite_url: str, tmp_path: Path) -> None:
    class Parameterised(Thing):
        word = ""

        def setup(self, word: str = "none") -> None:
            self.word = word

        def run_api(self) -> str:
            return self.word

    target = Target("it", "thing", Path(), thing=Parameterised, parameters={"word": "given"})
    bad = Target("bad", "thing", Path(), thing=Parameterised, parameters={"word": object()})
    async with started(sqlite_url, tmp_path, target, bad) as one:
        assert served(one) == {"it": "given"}
        assert "cannot be written as JSON" in failures(one)["bad"]
        await one.parts.deployer.deploy(Order("it", None, kind="thing", place="it", overwrite=True))
        assert served(one) == {"it": "none"}


async def test_what_was_tried_out_together_is_not_tried_out_again(tmp_path: Path) -> None:
    together: list[str] = []
    alone: list[str] = []

    async def prove_together(targets: Sequence[Target]) -> set[str]:
        together.extend(target.name for target in targets)
        return {target.name for target in targets} - {"p3"}

    async def prove(target: Target, *, check: str | None = None) -> Proof:
        alone.append(target.name)
        return Proof(target.name, "unknown", "", [])

    targets: list[Target] = []
    for number in range(6):
        folder = tmp_path / "pipelines" / f"p{number}"
        folder.mkdir(parents=True)
        (folder / "pipeline_wrapper.py").write_text(
            "from hayserve import BasePipelineWrapper\n"
            "class PipelineWrapper(BasePipelineWrapper):\n"
            "    def setup(self): ...\n"
            f"    def run_api(self) -> int: return {number}\n"
        )
        targets.append(Target(f"p{number}", "folder", folder, origin="pipelines dir"))
    gone = Target("gone", "folder", tmp_path / "gone", origin="pipelines dir")
    async with worker("sqlite://", tmp_path) as one:
        one.prove_with(prove, together=prove_together)
        await one.parts.declarer.declare([*targets, gone])
        await one.parts.follower.settled()
        assert [one.says(f"p{number}") for number in range(6)] == list("012345")
        assert [failed.name for failed in one.parts.registry.failed()] == ["gone"]
    assert sorted(together) == [f"p{number}" for number in range(6)]
    assert alone == ["p3"]
