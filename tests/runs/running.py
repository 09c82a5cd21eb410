"""Runs of single methods, for tests."""

import threading
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import asynccontextmanager
from inspect import isasyncgenfunction, iscoroutinefunction
from logging import LogRecord
from typing import Any

import anyio
import anyio.lowlevel

from hayserve.events import Event
from hayserve.runs.execute import Executor
from hayserve.runs.live import LiveRun
from hayserve.runs.run import Run
from hayserve.wrappers.capabilities import Method


def run_of(function: Callable[..., Any], /, **arguments: Any) -> Run:
    is_async = iscoroutinefunction(function) or isasyncgenfunction(function)
    method = Method("run_api", function, is_async=is_async, wants_headers=False)
    return Run("r1", "it", method, arguments)


def own(records: Iterable[LogRecord]) -> list[LogRecord]:
    """What this package logged; libraries log too."""
    return [record for record in records if record.name.startswith("hayserve")]


async def events_of(function: Callable[..., Any], /, **arguments: Any) -> list[Event]:
    """All events of one run."""
    async with executing() as executor:
        return await executor.start(run_of(function, **arguments)).all_events()


@asynccontextmanager
async def executing(**options: Any) -> AsyncGenerator[Executor]:
    executor = Executor(**options)
    async with executor.running():
        yield executor


@asynccontextmanager
async def started(function: Callable[..., Any]) -> AsyncGenerator[LiveRun]:
    async with executing() as executor:
        yield executor.start(run_of(function))


class Gate:
    """Something that code comes to, in a thread or on an event loop, and is let through."""

    def __init__(self) -> None:
        self._come = threading.Semaphore(0)
        self._go = threading.Event()

    def __call__(self) -> None:
        self._come.release()
        assert self._go.wait(10)

    async def pass_async(self) -> None:
        self._come.release()
        await until(self._go.is_set)

    async def reached(self) -> None:
        """Return when the code has come here."""
        await until(lambda: self._come.acquire(blocking=False))

    def open(self) -> None:
        self._go.set()


async def until(holds: Callable[[], object]) -> None:
    """Return when something holds that no event tells."""
    for _ in range(10_000):
        if holds():
            return
        await anyio.sleep(0.001)
    raise TimeoutError


async def quiet() -> None:
    """Return when neither a task nor a callback has anything to do."""
    for _ in range(10):
        await anyio.lowlevel.checkpoint()
    await anyio.wait_all_tasks_blocked()


async def emptied(executor: Executor) -> None:
    """Return when nothing is left of any run."""
    await until(lambda: not executor.live())
