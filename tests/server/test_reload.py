"""Which targets a change is about; that it reaches the server is told in test_lifespan."""

from pathlib import Path

import anyio
import pytest

from hayserve.deployments.deploy import Deployer
from hayserve.deployments.registry import Registry
from hayserve.deployments.store import Store
from hayserve.deployments.target import Target, targets_at
from hayserve.server.reload import reload_on_change
from server.serving import greeting, put

PIPELINE = """
components:
  prompt:
    type: haystack.components.builders.prompt_builder.PromptBuilder
    init_parameters: {template: "WORD {{ name }}"}
inputs: {name: prompt.name}
outputs: {text: prompt.prompt}
"""


@pytest.mark.anyio
async def test_without_targets_there_is_nothing_to_watch(tmp_path: Path) -> None:
    deployer = Deployer(Registry(), Store(tmp_path), reserved=())
    with anyio.fail_after(5):
        await reload_on_change([Target("it", "thing", Path())], deployer)
        await reload_on_change([], deployer)


@pytest.mark.anyio
async def test_a_change_reloads_what_it_belongs_to_and_nothing_else(tmp_path: Path) -> None:
    yaml = tmp_path / "served" / "hi.yml"
    yaml.parent.mkdir()
    yaml.write_text(PIPELINE)
    folder = put(tmp_path / "served" / "hello", greeting("one"))
    registry = Registry()
    deployer = Deployer(registry, Store(tmp_path / "data"), reserved=())
    targets = [*targets_at(str(yaml)), *targets_at(str(folder))]
    await deployer.load_all(targets)
    before = {name: registry.get(name) for name in ("hi", "hello")}
    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(reload_on_change, targets, deployer)
            while registry.get("hi") is before["hi"]:
                yaml.write_text(PIPELINE)
                await anyio.sleep(0.02)
            tasks.cancel_scope.cancel()
    assert registry.get("hello") is before["hello"]
