"""Runs of single methods, for tests."""

from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import asynccontextmanager
from inspect import isasyncgenfunction, iscoroutinefunction
from logging import LogRecord
from typing import Any

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
