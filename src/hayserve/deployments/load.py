"""Loads a target: its code or YAML becomes a wrapper that has been set up."""

import asyncio
import weakref
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from inspect import isawaitable
from typing import ParamSpec, TypeVar

import anyio.to_thread

from hayserve.deployments.bundle import WRAPPER_FILE
from hayserve.deployments.deployment import Deployment
from hayserve.deployments.loader import find_wrapper_class, load_module
from hayserve.deployments.target import Target
from hayserve.errors import DeployRefused, HayserveError
from hayserve.wrappers.base import BasePipelineWrapper
from hayserve.wrappers.capabilities import capabilities_of
from hayserve.wrappers.escaped import contained, original
from hayserve.wrappers.failure import explain, user_frame
from hayserve.wrappers.labels import kind_of
from hayserve.wrappers.plain import wrapper_for
from hayserve.wrappers.usage import count_usage
from hayserve.wrappers.yaml import YAMLPipelineWrapper

P = ParamSpec("P")
R = TypeVar("R")


async def load(target: Target) -> Deployment:
    """Load `target` and set it up; what can take long is done in a thread.

    Raises:
        DeployRefused: It cannot be served; the message says why.
    """
    with _refusing(target, "{name!r} cannot be loaded"):
        wrapper = await _in_thread(_wrapper_in, target)
    with _refusing(target, "setup() of {name!r} failed"):
        waiting = await _in_thread(wrapper.setup)
        if isawaitable(waiting):
            await waiting
    # A wrapper may have put its own tracer in place.
    count_usage()
    with _refusing(target, "{name!r} cannot be served"):
        return await _in_thread(_deployment_of, wrapper, target)


async def _in_thread(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    # A thread of its own, given up when the server stops: code that hangs holds up nobody else.
    return await anyio.to_thread.run_sync(
        partial(contained(function), *args, **kwargs),
        abandon_on_cancel=True,
        limiter=anyio.CapacityLimiter(1),
    )


def _deployment_of(wrapper: BasePipelineWrapper, target: Target) -> Deployment:
    can = capabilities_of(wrapper, name=target.name)
    description = target.description or (can.signature.description if can.signature else "")
    return Deployment(
        name=target.name,
        aliases=tuple(alias for alias in dict.fromkeys(target.aliases) if alias != target.name),
        wrapper=wrapper,
        can=can,
        kind=kind_of(wrapper),
        # Python's texts may hold what no answer can.
        description=description.encode(errors="replace").decode(),
        revision=target.revision,
        skip_mcp=target.skip_mcp or bool(wrapper.skip_mcp),
        origin=target.origin,
        loaded_at=datetime.now(UTC),
    )


def _wrapper_in(target: Target) -> BasePipelineWrapper:
    if target.kind == "thing":
        return wrapper_for(target.thing)
    if target.kind == "yaml":
        return YAMLPipelineWrapper.from_file(target.path)
    folder = target.path if target.kind == "folder" else target.path.parent
    module = WRAPPER_FILE if target.kind == "folder" else target.path.name
    code = load_module(folder, module.removesuffix(".py"), name=target.name)
    try:
        if target.kind == "folder":
            wrapper = wrapper_for(find_wrapper_class(code.module))
        else:
            wrapper = wrapper_for(_attribute(code.module, target))
    except BaseException:
        code.unload()
        raise
    # Its modules are given back when the last run that uses the wrapper has ended.
    weakref.finalize(wrapper, code.unload).atexit = False
    return wrapper


def _attribute(module: object, target: Target) -> object:
    try:
        return getattr(module, target.attribute)
    except AttributeError:
        raise DeployRefused(
            f"{target.path.name!r} defines no {target.attribute!r}.",
            hint="Name an Agent, a Pipeline or a function that returns one: `file.py:object`.",
        ) from None


@contextmanager
def _refusing(target: Target, what: str) -> Generator[None]:
    """Turn what user code raises into a refusal that says what went wrong, where and why."""
    try:
        yield
    except HayserveError:
        raise
    except BaseException as error:  # user code: anything can come out of it
        if isinstance(error, asyncio.CancelledError) and _is_being_cancelled():
            raise
        error = original(error)
        folder = target.path if target.kind == "folder" else target.path.parent
        where = user_frame(error, folder)
        raise DeployRefused(
            f"{what.format(name=target.name)}{f' at {where}' if where else ''}: {explain(error)}",
            hint="The server's log has the traceback.",
        ) from error


def _is_being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
