"""Targets become wrappers that have been set up; what cannot is refused with the reason."""

import gc
import sys
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from textwrap import dedent
from typing import ClassVar

import anyio
import pytest
from haystack import Pipeline

from hayserve import BasePipelineWrapper
from hayserve.deployments.load import load
from hayserve.deployments.retire import retire
from hayserve.deployments.target import Target, targets_at
from hayserve.errors import DeployRefused
from hayserve.wrappers.run_limits import RunLimits

pytestmark = pytest.mark.anyio

HEAD = "from hayserve import BasePipelineWrapper\n"


class Greeter(BasePipelineWrapper):
    deployment_type = "agent"
    skip_mcp = True

    def setup(self) -> None: ...

    def run_api(self, name: str) -> str:
        """Greet."""
        return name


class Refusing(Greeter):
    def setup(self) -> None:
        raise DeployRefused("'model' is missing.", hint="Set it.")


def file_with(folder: Path, text: str, name: str = "agents.py") -> Path:
    file = folder / name
    file.write_text(HEAD + dedent(text))
    return file


async def test_a_thing_in_memory_is_loaded() -> None:
    target = Target("a", "thing", Path(), aliases=("b", "a", "b"), thing=Greeter, revision="r")
    loaded = await load(target)
    assert isinstance(loaded.wrapper, Greeter)
    assert loaded.names == ("a", "b")
    assert (loaded.kind, loaded.description, loaded.skip_mcp) == ("agent", "Greet.", True)
    assert (loaded.origin, loaded.revision) == ("command line", "r")
    assert loaded.loaded_at is not None


async def test_a_targets_own_description_wins() -> None:
    loaded = await load(Target("a", "thing", Path(), description="Mine.", thing=Greeter()))
    assert loaded.description == "Mine."


async def test_a_pipeline_has_no_description_of_its_own(tmp_path: Path) -> None:
    text = """
    def make():
        from haystack import Pipeline
        from haystack.components.builders import PromptBuilder
        pipeline = Pipeline()
        pipeline.add_component("prompt", PromptBuilder(template="Hi {{ name }}"))
        return pipeline
    """
    file = file_with(tmp_path, text)
    [target] = targets_at(f"{file}:make")
    loaded = await load(target)
    assert isinstance(loaded.wrapper.pipeline, Pipeline)
    assert loaded.kind == "pipeline"


async def test_an_object_that_is_not_there_is_refused_and_its_module_given_back(
    tmp_path: Path,
) -> None:
    file = file_with(tmp_path, "", "absent_object.py")
    with pytest.raises(DeployRefused, match=r"'absent_object\.py' defines no 'agent'"):
        await load(targets_at(f"{file}:agent")[0])
    assert not [name for name in sys.modules if name.endswith("absent_object")]


async def test_a_file_without_an_object_is_asked_for_its_wrapper(tmp_path: Path) -> None:
    text = """
    class PipelineWrapper(BasePipelineWrapper):
        def setup(self): ...
        def run_response(self, model, input_items, body): ...
    """
    loaded = await load(targets_at(str(file_with(tmp_path, text)))[0])
    assert loaded.can.names() == ["responses"]
    assert loaded.description == ""


async def test_modules_are_given_back_with_the_wrapper(tmp_path: Path) -> None:
    text = """
    class PipelineWrapper(BasePipelineWrapper):
        def setup(self): ...
        def run_api(self) -> str: ...
    """
    file = file_with(tmp_path, text, "given_back.py")
    loaded = await load(targets_at(str(file))[0])
    assert [name for name in sys.modules if name.endswith("given_back")]
    del loaded
    await anyio.wait_all_tasks_blocked()  # the event loop lets go of the last thing it gave
    gc.collect()
    assert not [name for name in sys.modules if name.endswith("given_back")]


@pytest.mark.parametrize("colour", ["def", "async def"])
async def test_parameters_reach_setup_converted(tmp_path: Path, colour: str) -> None:
    text = f"""
    class PipelineWrapper(BasePipelineWrapper):
        {colour} setup(self, size: int, text: str = "a"):
            self.made = text * size
            self.seen = dict(self.parameters)

        def run_api(self) -> str: ...
    """
    [target] = targets_at(str(file_with(tmp_path, text)))
    wrapper = (await load(replace(target, parameters={"size": "3"}))).wrapper
    assert (vars(wrapper)["made"], vars(wrapper)["seen"]) == ("aaa", {"size": 3})


@pytest.mark.parametrize("parameters", [{}, {"sise": 1}, {"size": "many"}])
async def test_parameters_that_do_not_fit_are_refused(
    tmp_path: Path, parameters: dict[str, object]
) -> None:
    text = """
    class PipelineWrapper(BasePipelineWrapper):
        def setup(self, size: int): ...
        def run_api(self) -> str: ...
    """
    [target] = targets_at(str(file_with(tmp_path, text, "sized.py")))
    with pytest.raises(DeployRefused) as refused:
        await load(replace(target, parameters=parameters))
    assert refused.value.param == "parameters"
    assert not [name for name in sys.modules if name.endswith("sized")]


async def test_code_can_be_given_back_before_its_wrapper_is(tmp_path: Path) -> None:
    text = """
    class PipelineWrapper(BasePipelineWrapper):
        def setup(self): ...
        def run_api(self) -> str: ...
    """
    loaded = await load(targets_at(str(file_with(tmp_path, text, "unloaded.py")))[0])
    loaded.unload()
    assert not [name for name in sys.modules if name.endswith("unloaded")]
    loaded.unload()


async def test_a_refusal_in_setup_is_told_as_it_is() -> None:
    with pytest.raises(DeployRefused) as refused:
        await load(Target("a", "thing", Path(), thing=Refusing()))
    assert str(refused.value) == "'model' is missing. Set it."


async def test_a_yaml_file_that_is_gone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DeployRefused, match=r"'gone' cannot be"):
        await load(Target("gone", "yaml", tmp_path / "gone.yml"))


@pytest.mark.parametrize(
    "raised",
    ["KeyboardInterrupt", "GeneratorExit", "asyncio.CancelledError", "SystemExit"],
)
@pytest.mark.parametrize("colour", ["def", "async def"])
async def test_whatever_comes_out_of_setup_is_a_refusal(
    tmp_path: Path, raised: str, colour: str
) -> None:
    text = f"""
    import asyncio

    class PipelineWrapper(BasePipelineWrapper):
        {colour} setup(self):
            raise {raised}

        def run_api(self) -> str: ...
    """
    with pytest.raises(DeployRefused, match=r"setup\(\) of 'agents' failed"):
        await load(targets_at(str(file_with(tmp_path, text)))[0])


async def test_an_error_that_cannot_be_described_is_a_refusal_too(tmp_path: Path) -> None:
    text = """
    class Odd(Exception):
        def __str__(self):
            raise SystemExit

    class PipelineWrapper(BasePipelineWrapper):
        def setup(self):
            raise Odd

        def run_api(self) -> str: ...
    """
    with pytest.raises(DeployRefused, match=r"setup\(\) of 'agents' failed: Odd"):
        await load(targets_at(str(file_with(tmp_path, text)))[0])


async def test_a_load_that_hangs_can_be_given_up(tmp_path: Path) -> None:
    text = """
    import threading

    class PipelineWrapper(BasePipelineWrapper):
        gate = threading.Event()

        def setup(self):
            self.gate.wait(20)

        def run_api(self) -> str: ...
    """
    target = targets_at(str(file_with(tmp_path, text, "hanging.py")))[0]
    with anyio.move_on_after(0.3) as scope:
        await load(target)
    assert scope.cancelled_caught
    [module] = [module for name, module in sys.modules.items() if name.endswith(".hanging")]
    module.PipelineWrapper.gate.set()


async def test_a_server_that_stops_during_an_async_setup_is_not_told_of_a_refusal(
    tmp_path: Path,
) -> None:
    text = """
    import anyio

    class PipelineWrapper(BasePipelineWrapper):
        async def setup(self):
            await anyio.sleep_forever()

        def run_api(self) -> str: ...
    """
    with anyio.move_on_after(0.3) as scope:
        await load(targets_at(str(file_with(tmp_path, text)))[0])
    assert scope.cancelled_caught


class Limited(Greeter):
    limits: ClassVar[Mapping[str, float]] = {"max_runs": 8, "run_timeout": 60}


async def test_limits_of_the_deploy_win_over_those_of_the_class() -> None:
    target = Target("it", "thing", Path(), thing=Limited)
    assert (await load(target)).limits == RunLimits(max_runs=8, run_timeout=60)
    deployed = replace(target, limits=RunLimits(max_runs=4))
    assert (await load(deployed)).limits == RunLimits(max_runs=4, run_timeout=60)
    assert (await load(replace(target, thing=Greeter))).limits == RunLimits()


async def test_limits_of_the_deploy_win_over_those_of_the_yaml(tmp_path: Path) -> None:
    text = (
        "components:\n  greeter:\n    type: PromptBuilder\n"
        "    init_parameters: {template: 'Hi {{ name }}'}\n"
        "connections: []\nlimits:\n  max_runs: 8\n  max_waiting: 0\n"
    )
    file = tmp_path / "limited.yml"
    file.write_text(text)
    [target] = targets_at(str(file))
    deployed = replace(target, limits=RunLimits(max_runs=4))
    assert (await load(deployed)).limits == RunLimits(max_runs=4, max_waiting=0)


async def test_limits_of_a_class_that_cannot_be_used_are_refused() -> None:
    class Mistaken(Greeter):
        limits: ClassVar[Mapping[str, float]] = {"max_run": 8}

    with pytest.raises(DeployRefused, match="There is no limit 'max_run'") as refused:
        await load(Target("it", "thing", Path(), thing=Mistaken))
    assert refused.value.message.startswith("The `limits` in the class of 'it' cannot be used.")
    assert refused.value.hint == "Did you mean 'max_runs'?"


async def test_a_wrapper_may_mean_another_thing_by_limits() -> None:
    class Other(Greeter):
        def setup(self) -> None:
            self.limits = {"of": "its own"}  # type: ignore[misc]

    other = type("Other", (Greeter,), {"limits": ["of", "its", "own"]})
    for thing in (Other, other):
        assert (await load(Target("it", "thing", Path(), thing=thing))).limits == RunLimits()


ASYNC = """
    import asyncio, threading

    class PipelineWrapper(BasePipelineWrapper):
        own_loop = {own_loop}

        async def setup(self) -> None:
            self.threads = [threading.current_thread()]
            {then}

        async def run_api_async(self) -> str:
            return "x"

        async def teardown(self) -> None:
            print(threading.current_thread().name)
"""


async def loop_ends(name: str) -> None:
    with anyio.fail_after(10):
        while any(  # noqa: ASYNC110 - nothing else tells
            one.name == f"hayserve loop of {name}" for one in threading.enumerate()
        ):
            await anyio.sleep(0.005)


@pytest.mark.parametrize(("own_loop", "apart"), [("True", False), ("False", True)])
async def test_async_code_is_set_up_and_torn_down_on_a_loop_of_its_own(
    tmp_path: Path, own_loop: str, *, apart: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    file_with(tmp_path, ASYNC.format(own_loop=own_loop, then=""), "pipeline_wrapper.py")
    loaded = await load(Target("own", "folder", tmp_path), apart=apart)
    assert loaded.loop is not None
    assert vars(loaded.wrapper)["threads"] == [loaded.loop.thread]
    assert loaded.can.api is not None
    assert loaded.can.api.loop is loaded.loop
    await retire(loaded)
    await loop_ends("own")
    assert capsys.readouterr().out == "hayserve loop of own\n"


async def test_without_a_word_async_code_is_set_up_on_the_loop_of_the_server(
    tmp_path: Path,
) -> None:
    file_with(tmp_path, ASYNC.format(own_loop="1", then=""), "pipeline_wrapper.py")
    loaded = await load(Target("own", "folder", tmp_path))
    assert loaded.loop is None
    assert vars(loaded.wrapper)["threads"] == [threading.current_thread()]


async def test_the_loop_of_what_is_refused_or_given_up_ends(tmp_path: Path) -> None:
    failing = ASYNC.format(own_loop="True", then="raise ValueError('no')")
    file_with(tmp_path, failing, "pipeline_wrapper.py")
    with pytest.raises(DeployRefused, match="ValueError: no"):
        await load(Target("own", "folder", tmp_path))
    await loop_ends("own")
    hanging = ASYNC.format(own_loop="True", then="await asyncio.Event().wait()")
    file_with(tmp_path, hanging, "pipeline_wrapper.py")
    with anyio.move_on_after(0.5) as patience:
        await load(Target("own", "folder", tmp_path))
    assert patience.cancelled_caught
    await loop_ends("own")


LEAN = """
    from haystack.components.agents import Agent
    from haystack.components.generators.chat import OpenAIChatGenerator
    from haystack.utils import Secret

    class PipelineWrapper(BasePipelineWrapper):
        lean_openai = {lean_openai}

        def setup(self) -> None:
            model = OpenAIChatGenerator(api_key=Secret.from_token("key"))
            self.agent = Agent(chat_generator=model)

        def run_api(self) -> str:
            return type(self.agent.chat_generator).__name__
"""


@pytest.mark.parametrize(
    ("lean_openai", "asked", "lean"),
    [("True", False, "Lean"), ("False", True, "Lean"), ("'yes'", False, "")],
)
async def test_generators_are_made_lean_where_that_is_asked_for(
    tmp_path: Path, *, lean_openai: str, asked: bool, lean: str
) -> None:
    file_with(tmp_path, LEAN.format(lean_openai=lean_openai), "pipeline_wrapper.py")
    loaded = await load(Target("it", "folder", tmp_path, lean_openai=asked))
    assert loaded.can.api is not None
    assert loaded.can.api.function() == f"{lean}OpenAIChatGenerator"
