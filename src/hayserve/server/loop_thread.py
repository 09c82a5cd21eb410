"""Says what the thread of an event loop does at the moment, seen from another thread."""

import asyncio
import gc
import sys
import textwrap
import traceback
from contextvars import Context
from dataclasses import dataclass
from itertools import dropwhile
from pathlib import Path
from types import FrameType

from hayserve.deployments.imports import PrivateImports
from hayserve.wrappers.context import current_run

MOST_FRAMES = 20
# What runs a loop, and what then calls the code that is looked for.
_RUNS_LOOPS = frozenset(
    {"asyncio.base_events", "asyncio.events", "asyncio.runners", "hayserve.wrappers.own_loop"}
)
_CALLS_CODE = frozenset({"hayserve", "starlette", "uvicorn"})


@dataclass(frozen=True, slots=True)
class Doing:
    """Whose code a loop runs.

    Args:
        run_id: The run that its task belongs to, if it is one's.
        deployment: If not, the deployment whose files the code is from, if it is from any.
        task: If it is of no run, which task it is, as a number; 0 for a callback.
    """

    run_id: str | None = None
    deployment: str | None = None
    task: int = 0


def doing(loop: asyncio.AbstractEventLoop, thread: int) -> Doing:
    """What the loop of that thread does."""
    task = asyncio.current_task(loop)
    run_id = _run_id(task) if task else None
    if run_id is not None:
        return Doing(run_id)
    own = _own_frame(_frames(thread))
    return Doing(deployment=own[0] if own else None, task=id(task) if task else 0)


def place_in(thread: int) -> str:
    """The innermost line of a deployment's own files, such as `pipeline_wrapper.py line 12`."""
    own = _own_frame(_frames(thread))
    return f"{Path(own[1].f_code.co_filename).name} line {own[1].f_lineno}" if own else ""


def stack_of(thread: int) -> str:
    """The stack of a thread from the code that was called on, the most recent call last."""
    frames = _frames(thread)
    begins = 1 + max(
        (at for at, one in enumerate(frames) if _module(one) in _RUNS_LOOPS), default=-1
    )
    called = list(dropwhile(_only_calls, frames[begins:])) or frames[begins:] or frames
    summary = traceback.StackSummary.extract(
        (frame, frame.f_lineno) for frame in called[-MOST_FRAMES:]
    )
    return textwrap.indent("".join(summary.format()).rstrip(), "    ")


def _frames(thread: int) -> list[FrameType]:
    """The outermost first; it may go on while this looks at it."""
    frames: list[FrameType] = []
    frame = sys._current_frames().get(thread)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
    while frame is not None:
        frames.append(frame)
        frame = frame.f_back
    return frames[::-1]


def _own_frame(frames: list[FrameType]) -> tuple[str, FrameType] | None:
    imports = PrivateImports.installed()
    for frame in reversed(frames):
        deployment = imports.deployment_of(_module(frame))
        if deployment is not None:
            return deployment, frame
    return None


def _only_calls(frame: FrameType) -> bool:
    return _module(frame).partition(".")[0] in _CALLS_CODE


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))


def _run_id(task: asyncio.Task[object]) -> str | None:
    # A task that a run has started has the run's context. Only newer Pythons show it.
    contexts = (thing for thing in gc.get_referents(task) if isinstance(thing, Context))
    runs = [context.get(current_run) for context in contexts]
    return next((run.run_id for run in runs if run is not None), None)
