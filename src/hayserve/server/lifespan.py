"""What happens when the server starts and when it stops."""

import logging
import sys
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import anyio.abc
from starlette.applications import Starlette

from hayserve.compat.hayhooks import install_hayhooks_names
from hayserve.deployments.deploy import Deployer
from hayserve.deployments.registry import Registry
from hayserve.deployments.target import Target, targets_in
from hayserve.runs.execute import Executor
from hayserve.server.local_key import LocalKey
from hayserve.server.reload import reload_on_change
from hayserve.settings import Settings, local_key_file, variables_without_meaning

logger = logging.getLogger("hayserve.server")

WhenLoaded = Callable[[Registry], None]


@dataclass(frozen=True, slots=True)
class Start:
    """What to do at the start.

    Args:
        targets: What to load; None for what the pipelines folder holds.
        key: What deploying needs, to be left where this user's command line finds it; None where
            nobody is asked for a key.
        reload: Whether to load it again when its files change.
        when_loaded: Called once, when everything was loaded or has failed.
    """

    targets: Sequence[Target] | None
    key: LocalKey | None
    reload: bool
    when_loaded: WhenLoaded


class Lifespan:
    """Starts the parts of one application and stops them.

    Deployments are loaded while the server already answers, so that a slow `setup()` can be seen
    at `/readyz`; a request for one that is still loading gets a 503.

    Args:
        settings: The settings.
        registry: What is served.
        executor: What runs it.
        deployer: What loads it.
        start: What to do at the start.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        registry: Registry,
        executor: Executor,
        deployer: Deployer,
        start: Start,
    ) -> None:
        self._settings = settings
        self._registry = registry
        self._executor = executor
        self._deployer = deployer
        self._start = start

    def __call__(self, app: Starlette) -> AbstractAsyncContextManager[None]:
        return self._running(getattr(app.state, "port", self._settings.port))

    @asynccontextmanager
    async def _running(self, port: int) -> AsyncGenerator[None]:
        _warn(self._settings)
        install_hayhooks_names(self._settings.model_dump())
        _extend_python_path(self._settings)
        with self._key_in_place(port):
            async with self._executor.running(), anyio.create_task_group() as tasks:
                await tasks.start(self._load)
                yield
                tasks.cancel_scope.cancel()

    @contextmanager
    def _key_in_place(self, port: int) -> Generator[None]:
        key = self._start.key
        if key is None:
            yield
            return
        file = self._settings.key_file or local_key_file(port)
        key.write(file)
        try:
            yield
        finally:
            key.remove(file)

    async def _load(self, *, task_status: anyio.abc.TaskStatus[None]) -> None:
        own = self._targets()
        await self._deployer.load_all(
            _merged(own, self._deployer.kept()), announced=task_status.started
        )
        self._start.when_loaded(self._registry)
        if self._start.reload:
            await reload_on_change(own, self._deployer)

    def _targets(self) -> Sequence[Target]:
        if self._start.targets is not None:
            return self._start.targets
        folder = self._settings.pipelines_dir
        return targets_in(folder, origin="pipelines dir") if folder.is_dir() else []


def _merged(own: Sequence[Target], kept: Sequence[Target]) -> list[Target]:
    """What is named on the command line wins over an earlier deploy, that over the folder."""
    named = {target.name for target in own if target.origin == "command line"}
    deployed = [target for target in kept if target.name not in named]
    taken = {target.name for target in deployed}
    for target in [*own, *kept]:
        if target.name in (named if target in kept else taken):
            logger.info("set_aside", extra={"deployment": target.name, "from": target.origin})
    return [*(target for target in own if target.name not in taken), *deployed]


def _warn(settings: Settings) -> None:
    for name in variables_without_meaning():
        logger.warning("setting_without_meaning", extra={"variable": name})
    if settings.insecure:
        logger.warning(
            "insecure",
            extra={"meaning": "whoever reaches this server can run code on it by deploying"},
        )


def _extend_python_path(settings: Settings) -> None:
    shared = settings.additional_python_path
    if shared and (path := str(Path(shared).resolve())) not in sys.path:
        sys.path.append(path)
