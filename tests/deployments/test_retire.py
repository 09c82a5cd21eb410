"""What is not served any more is closed after its last run, and leaves nothing in memory."""

import gc
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from types import ModuleType
from typing import Any, cast

import anyio
import pytest
from haystack import component

from hayserve import BasePipelineWrapper
from hayserve.deployments.deployment import Deployment
from hayserve.deployments.load import load
from hayserve.deployments.registry import Registry
from hayserve.deployments.retire import Retirements, retire, spare_libraries
from hayserve.deployments.target import Target
from hayserve.errors import DeployRefused
from hayserve.events import RunFinished
from hayserve.runs.execute import Executor
from hayserve.runs.run import Run
from hayserve.wrappers.capabilities import capabilities_of

pytestmark = pytest.mark.anyio

TIMES = 30
PLAIN = """
class PipelineWrapper(BasePipelineWrapper):
    def setup(self):
        self.data = bytearray(1_000_000)

    def run_api(self, size: int = 1) -> int:
        return size
"""
IN_A_GLOBAL = """
KEPT = []
DATA = bytearray(1_000_000)

class PipelineWrapper(BasePipelineWrapper):
    def setup(self):
        KEPT.append(self)

    def run_api(self) -> int:
        return len(KEPT)
"""
IN_A_CYCLE = """
from dataclasses import dataclass
from functools import lru_cache
from pydantic import BaseModel

class Size(BaseModel):
    size: int = 1

@dataclass
class Part:
    owner: object

class PipelineWrapper(BasePipelineWrapper):
    def setup(self):
        self.part = Part(self)

    @lru_cache
    def itself(self):
        return self

    async def run_api_async(self, size: Size | None = None) -> Size:
        self.itself()
        return size or Size()
"""
AGENT = """
from haystack import Pipeline, component
from haystack.components.agents import Agent
from haystack.components.generators.chat import MockChatGenerator
from haystack.dataclasses import ChatMessage
from haystack.tools import tool

@tool
def add(a: int, b: int) -> int:
    "Add."
    return a + b

@component
class Shout:
    @component.output_types(text=str)
    def run(self, text: str) -> dict[str, str]:
        return {"text": text.upper()}

class PipelineWrapper(BasePipelineWrapper):
    def setup(self):
        self.agent = Agent(chat_generator=MockChatGenerator(), tools=[add])
        self.pipeline = Pipeline()
        self.pipeline.add_component("shout", Shout())
        self.pipeline.add_component("llm", MockChatGenerator())

    def run_api(self, text: str = "Hi") -> str:
        messages = [ChatMessage.from_user(text)]
        self.agent.run(messages=messages)
        return str(self.pipeline.run({"shout": {"text": text}, "llm": {"messages": messages}}))
"""
FAILING = """
class PipelineWrapper(BasePipelineWrapper):
    def setup(self):
        import made_known_by_the_wrapper
        self.held = made_known_by_the_wrapper
        raise ValueError("no")

    def run_api(self) -> int: ...
"""


@pytest.fixture
def searches_are_short() -> Iterator[None]:
    thresholds = gc.get_threshold()
    spare_libraries()
    yield
    gc.set_threshold(*thresholds)
    gc.unfreeze()


def folder_with(folder: Path, text: str) -> Target:
    code = f"from hayserve import BasePipelineWrapper\n{dedent(text)}"
    (folder / "pipeline_wrapper.py").write_text(code)
    return Target("it", "folder", folder)


def modules_of_deployments() -> list[str]:
    return [name for name in sys.modules if name.startswith("_hayserve_")]


async def until(is_so: Callable[[], bool]) -> None:
    with anyio.fail_after(10):
        while not is_so():
            await anyio.wait_all_tasks_blocked()


async def ran(deployment: Deployment, executor: Executor) -> None:
    assert deployment.can.api
    assert deployment.can.signature
    arguments = deployment.can.signature.arguments(b"{}")
    run = Run("r1", "it", deployment.can.api, arguments, deployment.uses)
    closing = (await executor.start(run).all_events())[-1]
    assert isinstance(closing, RunFinished)
    deployment.can.signature.encode(closing.result)


@pytest.mark.usefixtures("searches_are_short")
@pytest.mark.parametrize("text", [PLAIN, IN_A_GLOBAL, IN_A_CYCLE, AGENT])
async def test_nothing_of_a_retired_wrapper_stays_in_memory(tmp_path: Path, text: str) -> None:
    target, before = folder_with(tmp_path, text), modules_of_deployments()
    registry, executor = Registry(), Executor()
    retirements = Retirements(registry, moment=0)
    living: weakref.WeakSet[type[object]] = weakref.WeakSet()

    async def deploy_and_replace() -> None:
        deployment = await load(target)
        living.add(type(deployment.wrapper))
        registry.put(deployment)
        await ran(deployment, executor)
        registry.remove("it")
        await retirements.retire(deployment)

    async with executor.running(), retirements.running():
        for _ in range(TIMES):
            await deploy_and_replace()
        await until(lambda: not living)
    assert modules_of_deployments() == before


async def test_memory_is_not_searched_for_ever_for_what_somebody_keeps(tmp_path: Path) -> None:
    searches: list[int] = []

    def note(phase: str, info: dict[str, int]) -> None:
        if phase == "start" and info["generation"] == 2:
            searches.append(1)

    deployment = await load(folder_with(tmp_path, PLAIN))
    kept = deployment.wrapper
    retirements = Retirements(Registry(), moment=0)
    async with retirements.running():
        gc.callbacks.append(note)
        try:
            await retirements.retire(deployment)
            await until(lambda: len(searches) >= 3)
            await anyio.sleep(0.1)
        finally:
            gc.callbacks.remove(note)
    assert len(searches) == 3
    assert kept is deployment.wrapper


async def test_nothing_of_a_wrapper_whose_setup_failed_stays_but_its_error(
    tmp_path: Path,
) -> None:
    target, before = folder_with(tmp_path, FAILING), modules_of_deployments()
    modules: weakref.WeakSet[ModuleType] = weakref.WeakSet()
    errors: list[BaseException] = []
    for _ in range(TIMES):
        sys.modules["made_known_by_the_wrapper"] = made = ModuleType("made")
        modules.add(made)
        del made
        with pytest.raises(DeployRefused, match="line 7: ValueError: no") as refused:
            await load(target)
        errors += [refused.value, cast(BaseException, refused.value.__cause__)]
        del refused
    del sys.modules["made_known_by_the_wrapper"]
    assert modules_of_deployments() == before
    gc.collect()
    assert (len(errors), len(modules)) == (2 * TIMES, 0)


class Torn(BasePipelineWrapper):
    """Notes when it is torn down."""

    def __init__(self) -> None:
        super().__init__()
        self.log: list[str] = []

    def setup(self) -> None: ...

    def teardown(self) -> None:
        self.log.append("torn down")

    def run_api(self) -> Any:
        return "x"


@component
class Connected:
    def __init__(self) -> None:
        self.is_open = True

    @component.output_types(text=str)
    def run(self, text: str) -> dict[str, str]:
        return {"text": text}

    def close(self) -> None:
        self.is_open = False


def deployed(wrapper: BasePipelineWrapper, name: str = "it", **fields: Any) -> Deployment:
    return Deployment(name, wrapper, capabilities_of(wrapper, name=name), **fields)


async def test_a_sync_run_that_is_under_way_ends_before_its_wrapper_is_closed() -> None:
    go = threading.Event()

    class Slow(Torn):
        def run_api(self) -> Any:
            go.wait()
            return list(self.log)

    await ends_before(Slow(), go.set)


async def test_a_stream_that_is_read_ends_before_its_wrapper_is_closed() -> None:
    go = threading.Event()

    class Streams(Torn):
        def run_api(self) -> Any:
            yield "a"
            go.wait()
            yield "torn" if self.log else "whole"

    await ends_before(Streams(), go.set)


async def test_an_async_stream_that_is_read_ends_before_its_wrapper_is_closed() -> None:
    go = anyio.Event()

    class Streams(Torn):
        async def run_api_async(self) -> Any:
            yield "a"
            await go.wait()
            yield "torn" if self.log else "whole"

    await ends_before(Streams(), go.set)


async def ends_before(wrapper: Torn, go: Callable[[], object]) -> None:
    deployment, executor, log = deployed(wrapper, owns=False), Executor(), wrapper.log
    assert deployment.can.api
    async with executor.running():
        live = executor.start(Run("r1", "it", deployment.can.api, {}, deployment.uses))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(retire, deployment)
            await anyio.wait_all_tasks_blocked()
            assert log == []
            go()
            assert "torn" not in str(await live.all_events())
    assert log == ["torn down"]


async def test_what_a_wrapper_holds_is_closed_and_let_go() -> None:
    wrapper, connected, unloaded = Torn(), Connected(), list[bool]()
    log, wrapper.pipeline = wrapper.log, connected
    await retire(deployed(wrapper, unload=lambda: unloaded.append(True)))
    assert (log, connected.is_open, unloaded) == (["torn down"], False, [True])
    assert vars(wrapper) == {}


async def test_what_was_given_to_the_server_stays_as_it_is() -> None:
    wrapper, connected = Torn(), Connected()
    wrapper.pipeline = connected
    deployment = await load(Target("it", "thing", Path(), thing=wrapper))
    await retire(deployment)
    assert (wrapper.log, wrapper.pipeline) == (["torn down"], connected)
    assert connected.is_open


async def test_a_class_that_was_given_to_the_server_is_closed_like_a_folders() -> None:
    class Made(Torn):
        def setup(self) -> None:
            self.pipeline = Connected()

    deployment = await load(Target("it", "thing", Path(), thing=Made))
    connected = deployment.wrapper.pipeline
    await retire(deployment)
    assert not connected.is_open


async def test_what_another_deployment_uses_too_stays_open() -> None:
    shared = Connected()
    ended, served, draining = (deployed(Torn(), name) for name in ("ended", "served", "draining"))
    for deployment in (ended, served, draining):
        deployment.wrapper.pipeline = shared
    registry = Registry()
    registry.put(served)
    retirements = Retirements(registry)
    async with anyio.create_task_group() as tasks:
        await retirements.retire(ended)
        assert shared.is_open
        with draining.uses.held():
            tasks.start_soon(retirements.retire, draining)
            registry.remove("served")
            await retirements.retire(served)
            assert shared.is_open
    assert not shared.is_open


async def test_several_that_are_retired_at_once_are_searched_for_once() -> None:
    searches: list[str] = []

    def note(phase: str, info: dict[str, int]) -> None:
        if phase == "stop" and info["generation"] == 2:
            searches.append(phase)

    retirements = Retirements(Registry(), moment=0)
    gc.disable()
    gc.callbacks.append(note)
    try:
        async with retirements.running():
            async with anyio.create_task_group() as tasks:
                for number in range(5):
                    tasks.start_soon(retirements.retire, deployed(Torn(), f"it-{number}"))
            await until(lambda: bool(searches))
    finally:
        gc.callbacks.remove(note)
        gc.enable()
    assert searches == ["stop"]


async def test_a_setup_that_failed_has_what_it_opened_closed_and_is_not_torn_down() -> None:
    opened: list[Connected] = []

    class Fails(Torn):
        def setup(self) -> None:
            self.pipeline = Connected()
            opened.append(self.pipeline)
            raise ValueError("no")

        def teardown(self) -> None:
            opened.clear()

    with pytest.raises(DeployRefused):
        await load(Target("it", "thing", Path(), thing=Fails))
    assert [connected.is_open for connected in opened] == [False]


async def test_what_turns_out_to_be_no_use_after_its_setup_is_torn_down() -> None:
    torn: list[str] = []

    class Useless(BasePipelineWrapper):
        def setup(self) -> None: ...

        def teardown(self) -> None:
            torn.append("down")

    with pytest.raises(DeployRefused):
        await load(Target("it", "thing", Path(), thing=Useless))
    assert torn == ["down"]


@pytest.mark.usefixtures("searches_are_short")
async def test_libraries_are_spared_from_searches() -> None:
    assert gc.get_freeze_count() > 10_000
