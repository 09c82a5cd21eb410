"""Loads a target: its code or YAML becomes a wrapper that has been set up."""

import asyncio
import traceback
import weakref
from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import cast

from hayserve.deployments.bundle import WRAPPER_FILE
from hayserve.deployments.deployment import Deployment, nothing
from hayserve.deployments.loader import find_wrapper_class, load_module
from hayserve.deployments.retire import give_back
from hayserve.deployments.target import Target
from hayserve.errors import DeployRefused, HayserveError, InvalidRequest
from hayserve.wrappers.base import BasePipelineWrapper
from hayserve.wrappers.calling import call, in_thread, is_being_cancelled
from hayserve.wrappers.capabilities import capabilities_of
from hayserve.wrappers.closing import tear_down
from hayserve.wrappers.escaped import original
from hayserve.wrappers.failure import explain, user_frame
from hayserve.wrappers.labels import kind_of
from hayserve.wrappers.own_loop import OwnLoop, on
from hayserve.wrappers.plain import wrapper_for
from hayserve.wrappers.run_limits import NO_LIMITS, RunLimits
from hayserve.wrappers.setup_parameters import arguments_for, tell
from hayserve.wrappers.usage import count_usage
from hayserve.wrappers.yaml import YAMLPipelineWrapper

# Whoever deploys waits for it to be told why it was refused.
_CLOSE_SECONDS = 5.0


async def load(target: Target, *, apart: bool = False) -> Deployment:
    """Load `target` and set it up; what can take long is done in a thread.

    What was loaded is given back if it is refused.

    Args:
        target: What to load.
        apart: Whether its async code, an async `setup` too, runs on an event loop of its own; if
            not, the wrapper's class may say so.

    Raises:
        DeployRefused: It cannot be served; the message says why.
    """
    with _refusing(target, "{name!r} cannot be loaded"):
        wrapper, unload = await in_thread(_wrapper_in, target)
    loop = OwnLoop(target.name) if apart or type(wrapper).own_loop is True else None
    has_set_up = False
    with ExitStack() as undoing:
        if loop is not None:
            undoing.callback(loop.close)
        try:
            await on(loop, _set_up(wrapper, target))
            has_set_up = True
            with _refusing(target, "{name!r} cannot be served"):
                made = await in_thread(_deployment_of, wrapper, target, loop)
            undoing.pop_all()
            return replace(made, unload=unload)
        except HayserveError as error:
            await on(loop, _give_up(wrapper, target, unload=unload, has_set_up=has_set_up))
            del wrapper, unload
            _forget_variables(error)
            raise


async def _give_up(
    wrapper: BasePipelineWrapper,
    target: Target,
    *,
    unload: Callable[[], object],
    has_set_up: bool,
) -> None:
    name, seconds = target.name, _CLOSE_SECONDS
    if has_set_up:
        await tear_down(wrapper, name=name, seconds=seconds)
    await give_back(wrapper, name=name, owns=_owns(target), unload=unload, seconds=seconds)


async def _set_up(wrapper: BasePipelineWrapper, target: Target) -> None:
    if not (target.lean_openai or type(wrapper).lean_openai is True):
        await _call_setup(wrapper, target)
        return
    # Not at the top: only then is it worth the time that importing OpenAI's package takes.
    from hayserve.generators import make_lean  # noqa: PLC0415

    make_lean(wrapper)
    await _call_setup(wrapper, target)
    make_lean(wrapper)


async def _call_setup(wrapper: BasePipelineWrapper, target: Target) -> None:
    with _refusing(target, "setup() of {name!r} failed"):
        arguments = await in_thread(arguments_for, wrapper, target.parameters, name=target.name)
        tell(wrapper, arguments)
        await call(wrapper.setup, **arguments)
    # A wrapper may have put its own tracer in place.
    count_usage()


def _deployment_of(
    wrapper: BasePipelineWrapper, target: Target, loop: OwnLoop | None
) -> Deployment:
    can = capabilities_of(wrapper, name=target.name, loop=loop)
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
        limits=target.limits.merged_over(_limits_of(wrapper, target)),
        owns=_owns(target),
        loop=loop,
    )


def _limits_of(wrapper: BasePipelineWrapper, target: Target) -> RunLimits:
    """The limits that are written into what is served."""
    if isinstance(wrapper, YAMLPipelineWrapper):
        return wrapper.run_limits
    said = cast(object, type(wrapper).limits)
    if not isinstance(said, Mapping):  # a wrapper may mean another thing by this name
        return NO_LIMITS
    try:
        return RunLimits.of(cast(Mapping[object, object], said))
    except InvalidRequest as error:
        raise DeployRefused(
            f"The `limits` in the class of {target.name!r} cannot be used. {error.message}",
            hint=error.hint,
            param=error.param,
        ) from error


def _owns(target: Target) -> bool:
    """Whether the wrapper and what it holds are made here; else they belong to who gave them."""
    return target.kind != "thing" or isinstance(target.thing, type)


def _wrapper_in(target: Target) -> tuple[BasePipelineWrapper, Callable[[], object]]:
    """The wrapper, and what gives back its code."""
    if target.kind == "thing":
        return wrapper_for(target.thing), nothing
    if target.kind == "yaml":
        return YAMLPipelineWrapper.from_file(target.path), nothing
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
    # Also if a load is given up while `setup` hangs: its modules go when that has ended.
    unload = weakref.finalize(wrapper, code.unload)
    unload.atexit = False
    return wrapper, unload


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
        if isinstance(error, asyncio.CancelledError) and is_being_cancelled():
            raise
        raise DeployRefused(
            f"{what.format(name=target.name)}{_told(original(error), target)}",
            hint="The server's log has the traceback.",
        ) from original(error)


def _told(error: BaseException, target: Target) -> str:
    """Where and why, as far as the error can say it."""
    folder = target.path if target.kind == "folder" else target.path.parent
    try:
        where = user_frame(error, folder)
        return f"{f' at {where}' if where else ''}: {explain(error)}"
    except BaseException:  # noqa: BLE001 - user code: an exception may fail to be described
        return f": {type(error).__name__}"


def _forget_variables(error: BaseException | None) -> None:
    """Let an error be kept, and its traceback shown, without all that the code had in its hands."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__
