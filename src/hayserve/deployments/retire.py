"""Ends deployments that are not served any more: closes what they hold, gives back their memory."""

import ctypes
import gc
import logging
import weakref
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import asynccontextmanager, suppress

import anyio

from hayserve.deployments.deployment import Deployment
from hayserve.deployments.registry import Registry
from hayserve.wrappers.base import BasePipelineWrapper
from hayserve.wrappers.calling import in_thread
from hayserve.wrappers.closing import SECONDS, close_held, tear_down
from hayserve.wrappers.own_loop import on

logger = logging.getLogger("hayserve.deployments")

# How many objects, searches of the young ones, and of the older ones, come between two searches.
_BETWEEN_SEARCHES = (10_000, 20, 20)
# How often memory is searched for what was retired: its code goes after it, the thread of its last
# run may hold it a moment longer, and a library may do so for ever.
_MOST_SEARCHES = 3


class Retirements:
    """Waits for the last run of each deployment that is retired, and then ends it.

    Python frees code and whatever refers to itself only when it searches for it, and stands still
    while it does. One search for all that were retired in a moment has to do; see `spare_libraries`
    for how to make it short.

    Args:
        registry: What is served: what that uses too is not closed.
        seconds: How long a `teardown` may take, and how long closing all else.
        moment: How long after a retirement memory is searched, in seconds.
    """

    def __init__(
        self, registry: Registry, *, seconds: float = SECONDS, moment: float = 1.0
    ) -> None:
        self._registry = registry
        self._seconds = seconds
        self._moment = moment
        self._ending: list[Deployment] = []
        self._retired: list[weakref.ref[BasePipelineWrapper]] = []
        self._has_garbage = anyio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Free memory after retirements for as long as the block lasts."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._free_memory)
            try:
                yield
            finally:
                tasks.cancel_scope.cancel()

    async def retire(self, deployment: Deployment) -> None:
        """End `deployment`, which is not in the registry any more, when its last run has ended."""
        self._ending.append(deployment)
        try:
            await retire(
                deployment, beside=lambda: self._wrappers_beside(deployment), seconds=self._seconds
            )
        finally:
            self._ending.remove(deployment)
            self._retired.append(weakref.ref(deployment.wrapper))
            self._has_garbage.set()

    def _wrappers_beside(self, deployment: Deployment) -> list[BasePipelineWrapper]:
        others = (*self._registry.deployments(), *self._ending)
        return [other.wrapper for other in others if other.wrapper is not deployment.wrapper]

    async def _free_memory(self) -> None:
        while True:
            await self._has_garbage.wait()
            self._has_garbage = anyio.Event()
            await anyio.sleep(self._moment)
            for _ in range(_MOST_SEARCHES):
                are_gone = all(wrapper() is None for wrapper in self._retired)
                await in_thread(free_memory)
                if are_gone:  # before this search, which so has found their modules, too
                    break
                await anyio.sleep(self._moment)
            self._retired.clear()


async def retire(
    deployment: Deployment,
    *,
    beside: Callable[[], Iterable[BasePipelineWrapper]] = tuple,
    seconds: float = SECONDS,
) -> None:
    """End `deployment` when its last run has ended; its memory is freed when Python searches it.

    Args:
        deployment: It is not found by new requests any more.
        beside: Gives the wrappers that go on: what they use too stays open.
        seconds: How long its `teardown` may take, and how long closing all else.
    """
    name, loop = deployment.name, deployment.loop
    try:
        await deployment.uses.wait_unused()
        await on(loop, tear_down(deployment.wrapper, name=name, seconds=seconds))
        giving_back = give_back(
            deployment.wrapper,
            name=name,
            owns=deployment.owns,
            unload=deployment.unload,
            others=beside(),
            seconds=seconds,
        )
        await on(loop, giving_back)
    finally:
        if loop is not None:
            loop.close()
    logger.info("retired", extra={"deployment": name, "revision": deployment.number})


def free_memory() -> None:
    """Free what only refers to itself, and hand what is free back to the system."""
    gc.collect()
    # Only glibc has it, and only glibc keeps what is free to itself.
    with suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


async def give_back(
    wrapper: BasePipelineWrapper,
    *,
    name: str,
    owns: bool,
    unload: Callable[[], object],
    others: Iterable[BasePipelineWrapper] = (),
    seconds: float = SECONDS,
) -> None:
    """Close what a wrapper holds, and let go of it and of its code.

    Args:
        wrapper: The wrapper; nothing runs on it any more.
        name: The deployment's name, for the log.
        owns: Whether all that belongs to the deployment; else it is left as it is.
        unload: Gives back the modules of its code.
        others: Wrappers that go on: what they use too stays open.
        seconds: How long closing may take.
    """
    if not owns:
        return
    await close_held(wrapper, name=name, others=others, seconds=seconds)
    unload()
    # Whoever still knows the wrapper, a global variable or a library, keeps no more than that.
    vars(wrapper).clear()


def spare_libraries() -> None:
    """Never again search what is in memory now for garbage: it stays as long as the process.

    For a process that is all the server's, after its imports and before the first deployment is
    loaded. The imported libraries are most of its objects, and all requests stand still while
    Python searches them. What requests leave behind is searched less often than by default.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_BETWEEN_SEARCHES)
