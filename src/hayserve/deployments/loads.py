"""A revision that is being loaded to be served, or was."""

import asyncio
import logging
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from math import inf

import anyio
import anyio.to_thread

from hayserve.deployments.deployment import Deployment
from hayserve.deployments.load import load
from hayserve.deployments.revision import Revision
from hayserve.deployments.source import Source
from hayserve.errors import DeployRefused, HayserveError, Misconfigured, StorageUnavailable

logger = logging.getLogger("hayserve.deployments")

# How long to wait before a database that does not answer is asked again.
PAUSE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class LoadLimits:
    """How loading is limited.

    Args:
        seconds: How long one deployment may take, its `setup()` included.
        at_once: How many are loaded at a time.
    """

    seconds: float
    at_once: int


@dataclass(slots=True)
class Load:
    """What came of a revision that was to be loaded.

    Args:
        revision: The revision.
        scope: Gives it up.
        result: What it has become, or why it cannot be served; None while that is not known.
        files: Holds the mark on its files.
        ended_at: When it failed.
        before: Why it could not be served when it was tried before; None if it was not.
        apart: Whether it is loaded onto an event loop of its own.
        was_moved: Whether it was tried to replace it by one that is.
    """

    revision: Revision
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    result: Deployment | HayserveError | None = None
    files: ExitStack = field(default_factory=ExitStack)
    ended_at: float = inf
    before: HayserveError | None = None
    apart: bool = False
    was_moved: bool = False

    @property
    def known(self) -> Deployment | HayserveError | None:
        """The result, or while that is not known the one of the try before."""
        return self.before if self.result is None else self.result

    @property
    def failure(self) -> HayserveError | None:
        return self.result if isinstance(self.result, HayserveError) else None

    def is_to_be_tried_again(self, seconds: float) -> bool:
        """Whether it failed at least so many seconds ago."""
        return self.failure is not None and anyio.current_time() - self.ended_at > seconds

    async def carry_out(self, source: Source, *, seconds: float) -> None:
        """Load it; what goes wrong is the result, too."""
        revision = self.revision
        try:
            self.result = await self._loaded(source, seconds=seconds)
            return
        except asyncio.CancelledError:
            self.files.close()
            raise
        except HayserveError as error:
            failure = error
        except TimeoutError:
            failure = DeployRefused(
                f"Loading {revision.name!r} took longer than {seconds:g} s.",
                hint="Allow it more time with HAYSERVE_SETUP_TIMEOUT, or do less in `setup()`.",
            )
        except OSError as error:
            failure = Misconfigured(
                f"The files of {revision.name!r} cannot be put in place: "
                f"{error.strerror or error}.",
                hint="Look at the disk, or name another folder with HAYSERVE_DATA_DIR.",
                param="data_dir",
            )
            failure.__cause__ = error
        logger.error(
            "not_loaded",
            extra={"deployment": revision.name, "revision": revision.number, "why": str(failure)},
            exc_info=failure.__cause__,
        )
        self.result, self.ended_at = failure, anyio.current_time()

    async def _loaded(self, source: Source, *, seconds: float) -> Deployment:
        revision = self.revision
        mark = await anyio.to_thread.run_sync(source.mark, revision.name, revision.content)
        self.files.enter_context(mark)
        while True:
            try:
                target = await anyio.to_thread.run_sync(source.target, revision)
                break
            except StorageUnavailable as error:
                logger.warning("load_waits", extra={"why": str(error)})
                await anyio.sleep(PAUSE_SECONDS)
        with anyio.fail_after(seconds):
            return replace(await load(target, apart=self.apart), number=revision.number)
