"""Code that holds an event loop up is noticed, told with its line, and counted."""

import asyncio
import logging
import threading
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from hayserve.deployments.deployment import Deployment
from hayserve.deployments.load import load
from hayserve.deployments.registry import Registry
from hayserve.deployments.target import Target
from hayserve.runs.execute import Executor
from hayserve.runs.run import Run
from hayserve.server import watchdog
from hayserve.server.loop_thread import stack_of
from hayserve.server.watchdog import Watchdog
from server.serving import put, wrapper

pytestmark = pytest.mark.anyio

SECONDS = 0.1
BLOCKING = wrapper(
    """
    async def run_api_async(self, how: str = "itself", seconds: float = 0.3) -> str:
        if how == "itself":
            time.sleep(seconds)
        elif how == "a task of its":
            await asyncio.gather(self.block(seconds))
        elif how == "a callback":
            asyncio.get_running_loop().call_soon(time.sleep, 0)
            asyncio.get_running_loop().call_soon(self.block_now, seconds)
            await asyncio.sleep(0.01)
        elif how == "computing":
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                sum(range(1000))
        return "done"

    async def block(self, seconds: float) -> None:
        time.sleep(seconds)

    def block_now(self, seconds: float) -> None:
        time.sleep(seconds)
    """,
    top="import asyncio\nimport time",
)
ASLEEP = "time.sleep(seconds)"


class Kept(logging.Handler):
    """Keeps what is logged, whatever others do to the log of the process."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    def named(self, name: str) -> list[dict[str, Any]]:
        return [vars(record) for record in self.records if record.getMessage() == name]


@pytest.fixture
def log() -> Iterator[Kept]:
    kept, logger = Kept(), logging.getLogger("hayserve.server")
    logger.addHandler(kept)
    yield kept
    logger.removeHandler(kept)


class Watched:
    """A loop with one deployment, and the dog that watches it."""

    def __init__(self, deployment: Deployment) -> None:
        self.registry, self.executor = Registry(), Executor()
        self.deployment = deployment
        self.registry.put(deployment)
        self.moved: list[str] = []
        self.dog = Watchdog(self.registry, self.executor, seconds=SECONDS, move=self.moved.append)

    async def run(self, **arguments: Any) -> str:
        """Run it; gives the id of the run."""
        method = self.deployment.can.api
        assert method is not None
        run = Run("r1", self.deployment.name, method, arguments)
        await self.executor.start(run).all_events()
        return run.id


@asynccontextmanager
async def watching(folder: Path, *, apart: bool = False) -> AsyncGenerator[Watched]:
    deployment = await load(Target("it", "folder", put(folder / "it", BLOCKING)), apart=apart)
    watched = Watched(deployment)
    try:
        async with watched.executor.running():
            with watched.dog.running():
                yield watched
    finally:
        if deployment.loop is not None:
            deployment.loop.close()


async def until(condition: Callable[[], object]) -> None:
    with anyio.fail_after(10):
        while not condition():  # noqa: ASYNC110 - nothing else tells
            await anyio.sleep(0.005)


async def test_a_run_that_blocks_is_told_with_its_line_counted_and_to_be_moved(
    tmp_path: Path, log: Kept
) -> None:
    async with watching(tmp_path) as watched:
        run_id = await watched.run()
        await until(lambda: log.named("event_loop_free"))
        first = log.named("event_loop_blocked")[0]
        assert (first["deployment"], first["run_id"]) == ("it", run_id)
        assert first["at"].startswith("pipeline_wrapper.py line ")
        assert first["stack_info"].splitlines()[-1].strip() == ASLEEP
        assert "execute.py" not in first["stack_info"]
        [free] = log.named("event_loop_free")
        assert (free["deployment"], free["run_id"]) == ("it", run_id)
        blocked = watched.deployment.blocked
        assert blocked.count == 1
        assert blocked.longest >= free["seconds"] - 0.01 > SECONDS
        assert watched.moved == ["it"]


async def test_it_is_told_again_when_it_has_lasted_twice_as_long(tmp_path: Path, log: Kept) -> None:
    async with watching(tmp_path) as watched:
        await watched.run(seconds=1.0)
        told = [one["seconds"] for one in log.named("event_loop_blocked")]
        assert len(told) > 1
        assert all(later >= 1.9 * before for before, later in pairwise(told))
        assert watched.deployment.blocked.count == 1


@pytest.mark.parametrize("how", ["a task of its", "computing"])
async def test_whatever_of_a_run_blocks_is_told_as_the_runs(
    tmp_path: Path, log: Kept, how: str
) -> None:
    async with watching(tmp_path) as watched:
        run_id = await watched.run(how=how)
        await until(lambda: log.named("event_loop_free"))
        assert log.named("event_loop_blocked")[0]["run_id"] == run_id


async def test_what_runs_outside_of_a_run_is_known_by_its_file(tmp_path: Path, log: Kept) -> None:
    async with watching(tmp_path) as watched:
        await watched.run(how="a callback")
        await until(lambda: log.named("event_loop_free"))
        first = log.named("event_loop_blocked")[0]
        assert first["deployment"] == "it"
        assert "run_id" not in first
        assert watched.moved == ["it"]


async def test_what_is_no_deployments_is_told_and_nothing_is_moved(
    tmp_path: Path, log: Kept
) -> None:
    async with watching(tmp_path) as watched:
        await until(lambda: threading.active_count() > 1)
        time.sleep(3 * SECONDS)  # noqa: ASYNC251 - the point
        await until(lambda: log.named("event_loop_free"))
        first = log.named("event_loop_blocked")[0]
        assert "deployment" not in first
        assert "at" not in first
        assert "time.sleep(3 * SECONDS)" in first["stack_info"]
        assert watched.moved == []
        assert watched.deployment.blocked.count == 0


async def test_many_that_take_long_together_are_nobodys_fault(tmp_path: Path, log: Kept) -> None:
    def short() -> None:
        time.sleep(SECONDS / 8)

    async def shorter() -> None:
        short()

    async with watching(tmp_path) as watched:
        async with anyio.create_task_group() as tasks:
            for number in range(30):
                tasks.start_soon(shorter, name=str(number))
        await until(lambda: log.named("event_loop_blocked"))
        assert "deployment" not in log.named("event_loop_blocked")[0]
        assert watched.moved == []


async def test_a_deployment_on_its_own_loop_is_watched_too_and_stays(
    tmp_path: Path, log: Kept
) -> None:
    async with watching(tmp_path, apart=True) as watched:
        await anyio.sleep(SECONDS)  # until that loop is watched
        run_id = await watched.run(seconds=0.5)
        await until(lambda: log.named("event_loop_free"))
        first = log.named("event_loop_blocked")[0]
        assert (first["deployment"], first["run_id"]) == ("it", run_id)
        assert first["own_loop"]
        assert ASLEEP in first["stack_info"].splitlines()[-1]
        assert "own_loop.py" not in first["stack_info"]
        assert watched.deployment.blocked.count == 1
        assert watched.moved == []


async def test_a_block_of_what_is_replaced_meanwhile_is_not_counted(
    tmp_path: Path, log: Kept
) -> None:
    async with watching(tmp_path) as watched:
        watched.registry.remove("it")
        await watched.run()
        await until(lambda: log.named("event_loop_free"))
        assert watched.deployment.blocked.count == 0
        newer = replace(watched.deployment, number=2)
        watched.registry.put(newer)
        assert newer.blocked.count == 0


async def test_a_stopped_watchdog_moves_nothing(tmp_path: Path) -> None:
    async with watching(tmp_path) as watched:
        pass
    watched.dog._have_moved("it")  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
    assert watched.moved == []


class Clock:
    """The time of a process that stands still when it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.skipped = 0.0
        self._own = time.monotonic
        monkeypatch.setattr(time, "monotonic", self.monotonic)

    def monotonic(self) -> float:
        return self._own() + self.skipped


async def test_a_process_that_stood_still_is_nobodys_fault(
    tmp_path: Path, log: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with watching(tmp_path):
        clock = Clock(monkeypatch)
        clock.skipped = 60.0
        await anyio.sleep(4 * SECONDS)
        assert log.named("event_loop_blocked") == []


async def test_code_that_keeps_pythons_lock_is_told_when_it_gives_it_back() -> None:
    now = asyncio.get_running_loop()
    computed = iter([0.0, 5.0, 5.0])

    def clock() -> float:
        try:
            return next(computed)
        except StopIteration:
            raise OSError from None

    loop = watchdog._Watched(now, threading.get_ident(), clock)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
    assert [loop.computed_since() for _ in range(3)] == [5.0, 0.0, 0.0]
    dog = Watchdog(Registry(), Executor(), seconds=1, move=print)
    dog._explain_sleep(loop, since=time.monotonic() - 5, share=0.9)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
    assert not loop.has_answered
    assert loop.silent_for >= 5
    dog._explain_sleep(loop, since=time.monotonic() - 5, share=0.9)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
    assert loop.silent_for >= 5
    dog._explain_sleep(loop, since=time.monotonic() - 5, share=0.0)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
    assert loop.silent_for < 5
    await anyio.lowlevel.checkpoint()
    assert loop.has_answered


async def test_a_loop_that_has_ended_owes_no_answer() -> None:
    ended = asyncio.new_event_loop()
    ended.close()
    loop = watchdog._Watched(ended, threading.get_ident(), time.process_time)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
    loop.ask(1.0, since=time.monotonic())
    assert loop.has_answered


def test_a_thread_that_has_ended_has_no_stack() -> None:
    thread = threading.Thread(target=print)
    thread.start()
    thread.join()
    assert stack_of(thread.ident or 0) == ""


async def test_the_log_may_leave_warnings_out(tmp_path: Path, log: Kept) -> None:
    logger = logging.getLogger("hayserve.server")
    logger.setLevel(logging.ERROR)
    try:
        async with watching(tmp_path) as watched:
            await watched.run()
            await until(lambda: watched.moved)
    finally:
        logger.setLevel(logging.NOTSET)
    assert log.records == []
