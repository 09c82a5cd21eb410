"""Gives back what a wrapper holds, when nothing runs on it any more."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Any, cast

import anyio
from haystack import Pipeline
from haystack.tools import Toolset

from hayserve.wrappers.base import BasePipelineWrapper
from hayserve.wrappers.calling import call, in_thread, is_being_cancelled
from hayserve.wrappers.escaped import original
from hayserve.wrappers.failure import explain, user_place

logger = logging.getLogger("hayserve.wrappers")

SECONDS = 30.0
_WAYS = ("close", "close_async")
_PACKAGES = frozenset({"haystack", "haystack_integrations"})


async def tear_down(wrapper: BasePipelineWrapper, *, name: str, seconds: float = SECONDS) -> None:
    """Call the wrapper's own `teardown`.

    Args:
        wrapper: The wrapper; none of its other methods runs.
        name: The deployment's name, for the log.
        seconds: How long it may take; after that it is left alone.
    """
    with anyio.move_on_after(seconds) as scope:
        await _try(wrapper.teardown, what="teardown()", name=name)
    _report_late(scope, "teardown()", name=name)


async def close_held(
    wrapper: BasePipelineWrapper,
    *,
    name: str,
    others: Iterable[BasePipelineWrapper] = (),
    seconds: float = SECONDS,
) -> None:
    """Close the pipelines, agents, components, tools and stores of Haystack that a wrapper holds.

    They are what its attributes are, or what lists and dictionaries in its attributes hold. Those
    with a `close` are closed in a thread, those with a `close_async` on the event loop, those
    with both both ways: in Haystack, one closes what sync runs opened and the other what async
    runs did. What fails is logged, and keeps nothing else from being closed.

    Args:
        wrapper: The wrapper; none of its methods runs any more.
        name: The deployment's name, for the log.
        others: Wrappers that go on: what they use too stays open.
        seconds: How long all of it may take; after that the rest is left as it is.
    """
    with anyio.move_on_after(seconds) as scope:
        for thing in await in_thread(_to_close, wrapper, list(others)):
            for way in _ways_of(thing):
                what = f"{type(thing).__name__}.{way}()"
                await _try(getattr(thing, way), what=what, name=name)
    _report_late(scope, "what it holds", name=name)


async def _try(function: Callable[[], Any], *, what: str, name: str) -> None:
    try:
        await call(function)
    except BaseException as error:  # user code: anything can come out of it
        if isinstance(error, asyncio.CancelledError) and is_being_cancelled():
            raise
        _report(original(error), what=what, name=name)


def _report(error: BaseException, *, what: str, name: str) -> None:
    known = {"deployment": name, "what": what}
    try:
        place = user_place(error)
        why = f"{explain(error)}{f' at {place}' if place else ''}"
        logger.error("not_closed", extra={**known, "why": why}, exc_info=error)
    except BaseException:  # noqa: BLE001 - user code: an exception may fail to be printed
        why = type(error).__name__
        logger.error("not_closed", extra={**known, "why": why})  # noqa: TRY400 - see above


def _report_late(scope: anyio.CancelScope, what: str, *, name: str) -> None:
    if scope.cancelled_caught:
        logger.error("not_closed", extra={"deployment": name, "what": what, "why": "no time left"})


def _to_close(wrapper: BasePipelineWrapper, others: list[BasePipelineWrapper]) -> list[object]:
    """What to close of a wrapper, each once, and nothing that is connected with another's."""
    elsewhere = {
        key for other in others if other is not wrapper for key in _connected(_held_by(other))
    }
    found = {id(part): part for thing in _held_by(wrapper) for part in _parts(thing)}
    return [
        part
        for part in found.values()
        if _ways_of(part) and elsewhere.isdisjoint(_connected([part]))
    ]


def _connected(things: Iterable[object]) -> dict[int, object]:
    """`things` and all below them that can be closed, by identity."""
    found: dict[int, object] = {}
    waiting = [part for thing in things for part in _parts(thing)]
    while waiting:
        thing = waiting.pop()
        if id(thing) not in found and _ways_of(thing):
            found[id(thing)] = thing
            waiting += [part for below in _held_by(thing) for part in _parts(below)]
    return found


def _held_by(holder: object) -> Iterator[object]:
    """The things of Haystack in the attributes of `holder`, and in lists and dictionaries there."""
    values: dict[str, object] = getattr(holder, "__dict__", {})
    for value in list(values.values()):
        yield from filter(_is_haystacks, _items(value))


def _items(value: object) -> list[Any]:
    if isinstance(value, dict):
        return list(cast(dict[Any, Any], value).values())
    if isinstance(value, list | tuple | set | frozenset):
        return list(cast(Iterable[Any], value))
    return [value]


def _parts(thing: object) -> list[Any]:
    """What is closed in place of `thing`: one of a pipeline that fails should not keep the rest."""
    if isinstance(thing, Pipeline):
        return [component for _, component in thing.walk()]
    if isinstance(thing, Toolset) and not _ways_of(thing):
        return list(thing.tools)
    return [thing]


def _ways_of(thing: object) -> list[str]:
    return [way for way in _WAYS if callable(getattr(type(thing), way, None))]


def _is_haystacks(thing: object) -> bool:
    """Whether a class of Haystack or its integrations, or their metaclass, made `thing`."""
    if isinstance(thing, type):
        return False
    kinds = (*type(thing).__mro__, type(type(thing)))
    return any(str(kind.__module__).partition(".")[0] in _PACKAGES for kind in kinds)
