"""Loads a target: its code or YAML becomes a wrapper that has been set up."""

import weakref
from datetime import UTC, datetime
from inspect import isawaitable

import anyio.to_thread

from hayserve.deployments.bundle import WRAPPER_FILE
from hayserve.deployments.deployment import Deployment
from hayserve.deployments.loader import find_wrapper_class, load_module
from hayserve.deployments.target import Target
from hayserve.errors import DeployRefused, HayserveError
from hayserve.wrappers.base import BasePipelineWrapper
from hayserve.wrappers.capabilities import capabilities_of
from hayserve.wrappers.failure import explain, user_frame
from hayserve.wrappers.labels import kind_of
from hayserve.wrappers.plain import wrapper_for
from hayserve.wrappers.usage import count_usage
from hayserve.wrappers.yaml import YAMLPipelineWrapper


async def load(target: Target) -> Deployment:
    """Load `target` and set it up; what can take long is done in a thread.

    Raises:
        DeployRefused: It cannot be served; the message says why.
    """
    wrapper = await anyio.to_thread.run_sync(_wrapper_in, target)
    await _set_up(wrapper, target)
    # A wrapper may have put its own tracer in place.
    count_usage()
    can = capabilities_of(wrapper, name=target.name)
    return Deployment(
        name=target.name,
        aliases=tuple(alias for alias in dict.fromkeys(target.aliases) if alias != target.name),
        wrapper=wrapper,
        can=can,
        kind=kind_of(wrapper),
        description=target.description or (can.signature.description if can.signature else ""),
        revision=target.revision,
        skip_mcp=target.skip_mcp or wrapper.skip_mcp,
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
    weakref.finalize(wrapper, code.unload)
    return wrapper


def _attribute(module: object, target: Target) -> object:
    try:
        return getattr(module, target.attribute)
    except AttributeError:
        raise DeployRefused(
            f"{target.path.name!r} defines no {target.attribute!r}.",
            hint="Name an Agent, a Pipeline or a function that returns one: `file.py:object`.",
        ) from None


async def _set_up(wrapper: BasePipelineWrapper, target: Target) -> None:
    try:
        waiting = await anyio.to_thread.run_sync(wrapper.setup)
        if isawaitable(waiting):
            await waiting
    except HayserveError:
        raise
    except (Exception, SystemExit) as error:
        folder = target.path if target.kind == "folder" else target.path.parent
        where = user_frame(error, folder)
        raise DeployRefused(
            f"setup() of {target.name!r} failed{f' at {where}' if where else ''}: {explain(error)}",
            hint="The server's log has the traceback.",
        ) from error
