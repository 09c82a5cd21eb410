"""What a wrapper holds is closed once, whatever fails, and nothing that is somebody else's."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import anyio
import pytest
from haystack import Pipeline, component
from haystack.components.agents import Agent
from haystack.components.generators.chat import MockChatGenerator
from haystack.dataclasses import ChatMessage
from haystack.tools import Toolset
from haystack.tools.tool import Tool

from hayserve.wrappers.base import BasePipelineWrapper
from hayserve.wrappers.closing import close_held, tear_down

pytestmark = pytest.mark.anyio


class Log(list[tuple[str, bool]]):
    """What was closed how, and whether on the event loop."""

    def __init__(self) -> None:
        super().__init__()
        self._loop = threading.get_ident()

    def note(self, what: str) -> None:
        self.append((what, threading.get_ident() == self._loop))


@component
class Connected:
    """A component with a connection for each way to run it."""

    def __init__(self, log: Log, name: str = "it") -> None:
        self.log = log
        self.name = name

    @component.output_types(text=str)
    def run(self, text: str) -> dict[str, str]:
        return {"text": text}

    def close(self) -> None:
        self.log.note(f"{self.name}.close")

    async def close_async(self) -> None:
        self.log.note(f"{self.name}.close_async")


class Generator(MockChatGenerator):
    def __init__(self, log: Log) -> None:
        super().__init__()
        self.log = log

    def close(self) -> None:
        self.log.note("llm.close")


class OpenTool(Tool):
    def __init__(self, log: Log) -> None:
        schema: dict[str, Any] = {"type": "object", "properties": {}}
        super().__init__("add", "Adds.", schema, print)  # pyright: ignore[reportUnknownMemberType]
        self.log = log

    def close(self) -> None:
        self.log.note("tool.close")


class Own:
    """No thing of Haystack's."""

    def close(self) -> None:
        raise AssertionError


class Wrapper(BasePipelineWrapper):
    def __init__(self, **attributes: Any) -> None:
        super().__init__()
        vars(self).update(attributes)

    def setup(self) -> None: ...


@pytest.fixture
async def log() -> Log:
    return Log()


async def closed(log: Log, *others: BasePipelineWrapper, **attributes: Any) -> list[str]:
    await close_held(Wrapper(**attributes), name="it", others=others)
    return [what for what, _ in log]


async def test_a_component_is_closed_both_ways_each_where_it_belongs(log: Log) -> None:
    await closed(log, it=Connected(log))
    assert log == [("it.close", False), ("it.close_async", True)]


async def test_what_lists_and_dictionaries_hold_is_closed_too(log: Log) -> None:
    await closed(
        log,
        a=[Connected(log, "a")],
        b={"b": Connected(log, "b")},
        c=(Connected(log, "c"), {"d": Connected(log, "d")}),
    )
    assert [what for what, is_on_loop in log if not is_on_loop] == ["a.close", "b.close", "c.close"]


async def test_each_is_closed_once(log: Log) -> None:
    it = Connected(log)
    assert await closed(log, a=it, b=[it]) == ["it.close", "it.close_async"]


async def test_the_components_of_a_pipeline_are_closed_one_by_one(log: Log) -> None:
    pipeline = Pipeline()
    pipeline.add_component("a", Connected(log, "a"))
    pipeline.add_component("b", Generator(log))
    assert await closed(log, pipeline=pipeline) == ["a.close", "a.close_async", "llm.close"]


async def test_an_agent_closes_its_own(log: Log) -> None:
    agent = Agent(chat_generator=Generator(log), tools=[OpenTool(log)])
    assert set(await closed(log, agent=agent)) == {"llm.close", "tool.close"}


async def test_the_tools_of_a_toolset_are_closed(log: Log) -> None:
    assert await closed(log, tools=Toolset([OpenTool(log)])) == ["tool.close"]


async def test_what_is_not_haystacks_is_the_wrappers_own_business(log: Log) -> None:
    message = ChatMessage.from_user("a")
    assert await closed(log, own=Own(), kind=Connected, message=message) == []


async def test_what_another_wrapper_uses_too_stays_open(log: Log) -> None:
    shared, mine = Generator(log), Generator(log)
    other = Wrapper(agents=[Agent(chat_generator=shared)])
    assert await closed(log, other, a=Agent(chat_generator=shared)) == []
    assert await closed(log, other, it=shared) == []
    assert set(await closed(log, other, a=Agent(chat_generator=mine))) == {"llm.close"}


async def test_a_wrapper_is_not_in_its_own_way(log: Log) -> None:
    wrapper = Wrapper(it=Connected(log))
    await close_held(wrapper, name="it", others=[wrapper])
    assert len(log) == 2


def subclass(base: type[Any], **methods: Any) -> Any:
    return type(base.__name__, (base,), methods)


def leave(_: object) -> None:
    raise SystemExit


def cancel(_: object) -> None:
    raise asyncio.CancelledError


async def cancel_async(_: object) -> None:
    raise asyncio.CancelledError


def fail(_: object) -> None:
    raise ValueError("no")


class Unprintable(Exception):
    def __str__(self) -> str:
        raise SystemExit


def fail_unprintably(_: object) -> None:
    raise Unprintable


@pytest.mark.parametrize("fails", [leave, cancel, cancel_async, fail])
async def test_what_fails_is_logged_and_keeps_nothing_from_being_closed(
    log: Log, caplog: pytest.LogCaptureFixture, fails: Callable[[object], Any]
) -> None:
    broken = subclass(Connected, close=fails)(log, "a")
    await closed(log, a=broken, b=Connected(log, "b"))
    assert [what for what, _ in log] == ["a.close_async", "b.close", "b.close_async"]
    [record] = caplog.records
    assert record.message == "not_closed"
    assert vars(record)["what"] == "Connected.close()"
    assert vars(record)["deployment"] == "it"


async def test_a_failure_says_why(caplog: pytest.LogCaptureFixture) -> None:
    await tear_down(subclass(Wrapper, teardown=fail)(), name="it")
    [record] = caplog.records
    assert (vars(record)["what"], vars(record)["why"]) == ("teardown()", "ValueError: no")
    assert record.exc_info


async def test_a_failure_that_cannot_be_printed_is_logged_too(
    caplog: pytest.LogCaptureFixture,
) -> None:
    await tear_down(subclass(Wrapper, teardown=fail_unprintably)(), name="it")
    [record] = caplog.records
    assert vars(record)["why"] == "Unprintable"


async def test_what_does_not_end_is_left_when_time_is_over(
    log: Log, caplog: pytest.LogCaptureFixture
) -> None:
    class Stuck(Connected):
        async def close_async(self) -> None:
            await asyncio.Event().wait()

    await close_held(Wrapper(a=Stuck(log), b=Connected(log, "b")), name="it", seconds=0.05)
    [record] = caplog.records
    assert (vars(record)["what"], vars(record)["why"]) == ("what it holds", "no time left")
    assert [what for what, _ in log] == ["it.close"]


async def test_a_teardown_that_hangs_is_left_when_time_is_over(
    caplog: pytest.LogCaptureFixture,
) -> None:
    go = threading.Event()

    class Hangs(Wrapper):
        def teardown(self) -> None:
            go.wait()

    await tear_down(Hangs(), name="it", seconds=0.05)
    go.set()
    [record] = caplog.records
    assert vars(record)["what"] == "teardown()"


async def test_a_teardown_is_called_in_a_thread_or_awaited(log: Log) -> None:
    class Sync(Wrapper):
        def teardown(self) -> None:
            log.note("sync")

    class Async(Wrapper):
        async def teardown(self) -> None:
            log.note("async")

    for wrapper in (Sync(), Async(), Wrapper()):
        await tear_down(wrapper, name="it")
    assert log == [("sync", False), ("async", True)]


async def test_a_server_that_stops_is_not_taken_for_a_failure(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Waits(Wrapper):
        async def teardown(self) -> None:
            await anyio.sleep_forever()

    with anyio.move_on_after(0.05) as scope:
        await tear_down(Waits(), name="it")
    assert scope.cancelled_caught
    assert caplog.records == []
