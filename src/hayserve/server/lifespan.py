"""What happens when the server starts and when it stops."""

import logging
import sys
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    AsyncExitStack,
    asynccontextmanager,
    nullcontext,
)
from dataclasses import dataclass
from pathlib import Path

import anyio
import anyio.abc
import anyio.to_thread
from starlette.applications import Starlette

from hayserve.compat.hayhooks import install_hayhooks_names
from hayserve.deployments.registry import Registry
from hayserve.deployments.target import Target, targets_in
from hayserve.server.local_key import LocalKey
from hayserve.server.parts import Parts
from hayserve.server.reload import reload_on_change
from hayserve.server.role import Role
from hayserve.settings import Settings, local_key_file, variables_without_meaning

logger = logging.getLogger("hayserve.server")

WhenLoaded = Callable[[Registry], None]

# How long wrappers have to close when the server stops.
CLOSE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Start:
    """What to do at the start.

    Args:
        targets: What to load; None for what the pipelines folder holds.
        things: What a program gives the application to serve, by name; it is served too.
        key: What deploying needs, to be left where this user's command line finds it; None where
            nobody is asked for a key, or somebody else has left it there.
        reload: Whether to load it again when its files change.
        role: What of this is to be done by this process.
        when_loaded: Called once, when everything was loaded or has failed.
    """

    targets: Sequence[Target] | None
    things: Mapping[str, Target]
    key: LocalKey | None
    reload: bool
    role: Role
    when_loaded: WhenLoaded


class Lifespan:
    """Starts the parts of one application and stops them.

    Deployments are loaded while the server already answers, so that a slow `setup()` can be seen
    at `/readyz`; a request for one that is still loading gets a 503.

    Args:
        settings: The settings.
        parts: What is started and stopped.
        start: What to do at the start.
    """

    def __init__(self, settings: Settings, parts: Parts, start: Start) -> None:
        self._settings = settings
        self._parts = parts
        self._start = start

    def __call__(self, app: Starlette) -> AbstractAsyncContextManager[None]:
        return self._running(getattr(app.state, "port", self._settings.port))

    @asynccontextmanager
    async def _running(self, port: int) -> AsyncGenerator[None]:
        _warn(self._settings)
        install_hayhooks_names(self._settings.model_dump())
        _extend_python_path(self._settings)
        async with AsyncExitStack() as stack:
            stack.enter_context(self._key_in_place(port))
            await stack.enter_async_context(self._on_the_list())
            await stack.enter_async_context(self._parts.guarding.running())
            await stack.enter_async_context(self._parts.once.running())
            await stack.enter_async_context(self._following())
            await stack.enter_async_context(self._parts.keeping.keeper.running())
            await stack.enter_async_context(self._parts.executor.running())
            await stack.enter_async_context(self._parts.everywhere.running())
            tasks = await stack.enter_async_context(anyio.create_task_group())
            stack.enter_context(self._parts.watchdog.running())
            await tasks.start(self._serve)
            yield
            tasks.cancel_scope.cancel()

    def _key_in_place(self, port: int) -> AbstractContextManager[None]:
        key = self._start.key
        if key is None:
            return nullcontext()
        return key.kept_at(self._settings.key_file or local_key_file(port))

    @asynccontextmanager
    async def _on_the_list(self) -> AsyncGenerator[None]:
        """Be one of the workers of the database."""
        database, members = self._parts.database, self._parts.members
        await anyio.to_thread.run_sync(database.open)
        try:
            await anyio.to_thread.run_sync(members.join)
            try:
                yield
            finally:
                with anyio.CancelScope(shield=True):
                    await anyio.to_thread.run_sync(members.leave)
        finally:
            database.close()

    @asynccontextmanager
    async def _following(self) -> AsyncGenerator[None]:
        """Have what should be served loaded, and closed in the end."""
        prover, follower = self._parts.prover, self._parts.follower
        async with self._parts.pulse.running(), self._parts.retirements.running():
            try:
                yield
            finally:
                with anyio.move_on_after(CLOSE_SECONDS, shield=True):
                    await follower.close()
                if prover is not None:
                    with anyio.CancelScope(shield=True):
                        await prover.aclose()

    async def _serve(self, *, task_status: anyio.abc.TaskStatus[None]) -> None:
        """Load what is named now and what was deployed earlier, and follow what changes."""
        role, follower = self._start.role, self._parts.follower
        own = self._targets()
        follower.expect({one.name: (one.name, *one.aliases) for one in own})
        async with anyio.create_task_group() as tasks:
            await tasks.start(follower.run)
            if not role.declares:
                await follower.begun()  # until then another worker answers
            task_status.started()
            if role.declares:
                await self._parts.declarer.declare(own)
                await follower.settled()
                await self._parts.declarer.finish()
            self._start.when_loaded(self._parts.registry)
            if self._start.reload and role.watches:
                await reload_on_change(own, self._parts.declarer)

    def _targets(self) -> Sequence[Target]:
        targets, folder = self._start.targets, self._settings.pipelines_dir
        if targets is None:
            targets = targets_in(folder, origin="pipelines dir") if folder.is_dir() else []
        files = [target for target in targets if target.kind != "thing"]
        return [*files, *self._start.things.values()]


def _warn(settings: Settings) -> None:
    for name in variables_without_meaning():
        logger.warning("setting_without_meaning", extra={"variable": name})
    if settings.insecure:
        logger.warning(
            "insecure",
            extra={
                "meaning": "whoever reaches this server can run what it serves and deploy, "
                "which is to run any code on it",
                "instead": "leave it out and make keys: hayserve keys create NAME --scope run",
            },
        )


def _extend_python_path(settings: Settings) -> None:
    shared = settings.additional_python_path
    if shared and (path := str(Path(shared).resolve())) not in sys.path:
        sys.path.append(path)
