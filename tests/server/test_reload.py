"""Which targets a change is about; that it reaches the server is told in test_lifespan."""

from pathlib import Path

import anyio
import pytest

from deployments.cluster import until, worker
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
    async with worker("sqlite://", tmp_path) as one:
        with anyio.fail_after(5):
            await reload_on_change([Target("it", "thing", Path())], one.parts.declarer)
            await reload_on_change([], one.parts.declarer)


@pytest.mark.anyio
async def test_a_change_makes_a_new_revision_of_what_it_belongs_to_and_of_nothing_else(
    tmp_path: Path,
) -> None:
    yaml = tmp_path / "served" / "hi.yml"
    yaml.parent.mkdir()
    yaml.write_text(PIPELINE)
    folder = put(tmp_path / "served" / "hello", greeting("one"))
    targets = [*targets_at(str(yaml)), *targets_at(str(folder))]
    async with worker("sqlite://", tmp_path) as one:
        await one.parts.declarer.declare(targets)
        await one.parts.follower.settled()
        with anyio.fail_after(20):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(reload_on_change, targets, one.parts.declarer)
                while one.find("hi").number == 1:
                    yaml.write_text(PIPELINE.replace("WORD", "ANOTHER"))
                    await anyio.sleep(0.02)
                tasks.cancel_scope.cancel()
        assert (one.find("hi").number, one.find("hello").number) == (2, 1)


@pytest.mark.anyio
async def test_a_folder_that_was_away_is_watched_again(tmp_path: Path) -> None:
    folder = put(tmp_path / "served" / "hello", greeting("one"))
    targets = targets_at(str(folder))
    async with worker("sqlite://", tmp_path) as one:
        await one.parts.declarer.declare(targets)
        await one.parts.follower.settled()
        with anyio.fail_after(25):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(reload_on_change, targets, one.parts.declarer)
                await anyio.sleep(0.3)
                folder.rename(tmp_path / "away")
                await anyio.sleep(0.6)  # it is seen to be gone
                assert one.find("hello").number == 1
                put(tmp_path / "away", greeting("two"))
                (tmp_path / "away").rename(folder)
                await until(lambda: one.says("hello") == "two")
                while one.says("hello") != "three":  # the watch begins a moment later
                    put(folder, greeting("three"))
                    await anyio.sleep(0.05)
                tasks.cancel_scope.cancel()
        assert one.parts.registry.failed() == []
