"""Calls wrappers' code where it harms nobody else: what it raises and how long it takes."""

import asyncio
from collections.abc import Callable
from functools import partial
from inspect import isawaitable, iscoroutinefunction
from typing import Any, ParamSpec, TypeVar

import anyio
import anyio.to_thread

from hayserve.wrappers.escaped import contained

P = ParamSpec("P")
R = TypeVar("R")


async def in_thread(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call `function` in a thread of its own, which is given up when this is cancelled.

    So code that hangs holds up nobody else, and not the end of the server either.

    Raises:
        Escaped: It raised what is no `Exception`, which is the cause.
    """
    return await anyio.to_thread.run_sync(
        partial(contained(function), *args, **kwargs),
        abandon_on_cancel=True,
        limiter=anyio.CapacityLimiter(1),
    )


async def call(function: Callable[..., Any], **arguments: Any) -> Any:
    """Call a wrapper's function: sync in a thread, async on the event loop."""
    if iscoroutinefunction(function):
        return await function(**arguments)
    result = await in_thread(function, **arguments)
    return await result if isawaitable(result) else result


def is_being_cancelled() -> bool:
    """Whether a `CancelledError` is meant for this task, and not something that code raised."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
