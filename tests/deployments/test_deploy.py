"""Deployments come into service and leave it; over HTTP this is told in protocols/admin."""

import importlib
import logging
import shutil
import sys
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from hayserve.deployments.bundle import Bundle
from hayserve.deployments.deploy import Deployer, Order
from hayserve.deployments.registry import Registry
from hayserve.deployments.store import Store
from hayserve.deployments.target import Target, targets_in
from hayserve.errors import DeployRefused, NameTaken, NotReady

pytestmark = pytest.mark.anyio

SOURCE = """
import time
from pathlib import Path
from typing import Any
from hayserve import BasePipelineWrapper


class PipelineWrapper(BasePipelineWrapper):
    def setup(self) -> None:
        gate = Path({gate!r})
        while not gate.exists():
            time.sleep(0.002)

    def run_api(self) -> str:
        return {word!r}
"""


class World:
    """A registry, a deployer and wrappers that are set up when their gate opens."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.registry = Registry()
        self.deployer = Deployer(self.registry, Store(folder / "data"), reserved={"status"})
        self.open("always")

    def source(self, word: str, *, gate: str = "always") -> str:
        return SOURCE.format(word=word, gate=str(self.folder / gate))

    def open(self, gate: str) -> None:
        (self.folder / gate).write_text("")

    def order(self, name: str, *aliases: str, gate: str = "always", **given: Any) -> Order:
        bundle = Bundle.of_texts({"pipeline_wrapper.py": self.source(name, gate=gate)})
        return Order(name, bundle, aliases=aliases, **given)

    def target(self, name: str, *aliases: str, gate: str = "always", place: str = "p") -> Target:
        path = self.folder / place / name
        path.mkdir(parents=True, exist_ok=True)
        (path / "pipeline_wrapper.py").write_text(self.source(place, gate=gate))
        return Target(name, "folder", path, aliases=aliases)

    def says(self, name: str) -> str:
        method = self.registry.get(name).can.api
        assert method is not None
        return str(method.function())


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


async def test_an_alias_that_was_taken_during_the_load_is_refused(world: World) -> None:
    async def late() -> None:
        with pytest.raises(NameTaken, match="'x' belongs to the deployment 'fast'"):
            await world.deployer.deploy(world.order("slow", "x", gate="gate"))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(late)
        await anyio.wait_all_tasks_blocked()
        await world.deployer.deploy(world.order("fast", "x"))
        world.open("gate")
    assert world.registry.find("slow") is None


async def test_deploys_of_one_name_wait_for_each_other(world: World) -> None:
    refused: list[str] = []

    async def deploy(gate: str) -> None:
        try:
            await world.deployer.deploy(world.order("it", gate=gate))
        except NameTaken as error:
            refused.append(error.message)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(deploy, "gate")
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(deploy, "always")
        await anyio.wait_all_tasks_blocked()
        world.open("gate")
    assert refused == ["Pipeline 'it' already exists."]


async def test_a_slow_start_keeps_only_its_own_name_back(world: World) -> None:
    targets = [world.target("slow", "s", gate="gate"), world.target("fast")]
    announced = anyio.Event()
    async with anyio.create_task_group() as tasks:

        async def load_all() -> None:
            await world.deployer.load_all(targets, announced=announced.set)

        tasks.start_soon(load_all)
        await announced.wait()
        for order in (world.order("slow", overwrite=True), world.order("new", "s")):
            with pytest.raises(NotReady, match="is being loaded"):
                await world.deployer.deploy(order)
        with anyio.fail_after(10):
            while world.registry.find("fast") is None:
                await anyio.lowlevel.checkpoint()
        assert world.registry.loading == {"slow", "s"}
        world.open("gate")
    assert world.registry.loading == frozenset()
    assert [deployment.name for deployment in world.registry.deployments()] == ["slow", "fast"]


async def test_only_so_many_are_loaded_at_once(world: World) -> None:
    deployer = Deployer(world.registry, Store(world.folder), reserved=(), at_once=1)
    targets = [world.target(name) for name in "abc"]
    await deployer.load_all(targets)
    assert [deployment.name for deployment in world.registry.deployments()] == ["a", "b", "c"]


async def test_at_start_the_first_gets_a_name_or_alias(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    targets = [
        world.target("a", "x"),
        world.target("a", place="q"),
        world.target("b", "x"),
        world.target("x"),
        world.target("status"),
    ]
    await world.deployer.load_all(targets)
    assert [deployment.name for deployment in world.registry.deployments()] == ["a"]
    assert world.says("a") == "p"
    failed = {failure.name: failure.error.message for failure in world.registry.failed()}
    assert set(failed) == {"a", "b", "x", "status"}
    assert "the name 'x' is taken by" in failed["b"]
    assert len([record for record in caplog.records if record.message == "not_loaded"]) == 4


async def test_what_is_loaded_again_replaces_what_was(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    target = world.target("a")
    await world.deployer.load_all([target])
    (target.path / "pipeline_wrapper.py").write_text(world.source("new"))
    await world.deployer.reload(target)
    assert world.says("a") == "new"
    (target.path / "pipeline_wrapper.py").write_text("import nowhere")
    await world.deployer.reload(target)
    assert world.says("a") == "new"
    said = [record.message for record in caplog.records if record.name.startswith("hayserve")]
    assert said == ["loaded", "reloaded", "not_loaded"]
    assert "nowhere" in world.registry.failed()[0].error.message


async def test_what_was_undeployed_is_not_loaded_again(world: World) -> None:
    target = world.target("a")
    await world.deployer.load_all([target])
    await world.deployer.undeploy("a")
    await world.deployer.reload(target)
    assert world.registry.deployments() == []


async def test_what_failed_at_start_can_be_loaded_again(world: World) -> None:
    target = world.target("a")
    file = target.path / "pipeline_wrapper.py"
    file.write_text("import nowhere")
    await world.deployer.load_all([target])
    assert world.registry.failed()
    file.write_text(world.source("mended"))
    await world.deployer.reload(target)
    assert world.says("a") == "mended"
    assert not world.registry.failed()


async def test_a_reload_takes_nothing_from_what_was_deployed(world: World) -> None:
    target, other = world.target("a"), world.target("b", "x")
    await world.deployer.deploy(world.order("a"))
    await world.deployer.reload(target)
    assert world.registry.get("a").origin == "deployed"
    await world.deployer.deploy(world.order("x"))
    await world.deployer.reload(other)
    assert world.registry.find("b") is None


async def test_what_was_kept_comes_back_as_it_was_deployed(world: World) -> None:
    await world.deployer.deploy(world.order("kept", "k", skip_mcp=True))
    await world.deployer.deploy(world.order("passing", keep=False))
    yaml = Bundle.of_texts({"pipeline.yml": YAML})
    await world.deployer.deploy(Order("yaml", yaml, kind="yaml"))
    again = Deployer(Registry(), Store(world.folder / "data"), reserved=())
    kept, from_yaml = again.kept()
    assert (kept.name, kept.kind, kept.aliases) == ("kept", "folder", ("k",))
    assert (kept.origin, kept.skip_mcp) == ("deployed", True)
    assert (from_yaml.name, from_yaml.kind, from_yaml.path.name) == (
        "yaml",
        "yaml",
        "pipeline.yml",
    )
    assert targets_in(kept.path, origin="deployed")


YAML = """
components:
  prompt:
    type: haystack.components.builders.prompt_builder.PromptBuilder
    init_parameters: {template: "Hi {{ name }}"}
inputs: {name: prompt.name}
outputs: {text: prompt.prompt}
"""


async def test_a_refused_deploy_leaves_no_files_unless_they_are_what_is_served(
    world: World,
) -> None:
    bundles = world.folder / "data" / "bundles" / "a"
    refused = Order("a", Bundle.of_texts({"pipeline_wrapper.py": "import nowhere"}))
    with pytest.raises(DeployRefused):
        await world.deployer.deploy(refused)
    assert [path for path in bundles.glob("*") if path.is_dir()] == []

    (world.folder / "there.py").write_text("")
    source = f"import sys; sys.path.append({str(world.folder)!r}); import there\n"
    works_once = Order(
        "a", Bundle.of_texts({"pipeline_wrapper.py": source + world.source("one")}), overwrite=True
    )
    await world.deployer.deploy(works_once)
    (world.folder / "there.py").write_text("raise ValueError('gone')")
    sys.modules.pop("there")
    importlib.invalidate_caches()
    shutil.rmtree(world.folder / "__pycache__", ignore_errors=True)
    with pytest.raises(DeployRefused):
        await world.deployer.deploy(works_once)
    assert len([path for path in bundles.glob("*") if path.is_dir()]) == 1
    sys.path.remove(str(world.folder))


async def test_a_refused_redeploy_says_that_the_old_one_goes_on(world: World) -> None:
    await world.deployer.deploy(world.order("a"))
    bundle = Bundle.of_texts({"pipeline_wrapper.py": "import nowhere"})
    with pytest.raises(DeployRefused) as caught:
        await world.deployer.deploy(Order("a", bundle, overwrite=True))
    assert caught.value.hint.endswith("What was deployed before goes on serving.")
    assert world.says("a") == "a"
