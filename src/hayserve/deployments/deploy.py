"""Brings deployments into service and takes them out of it; nothing else changes the registry."""

import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import anyio
import anyio.to_thread

from hayserve.deployments.bundle import Bundle, check_name, check_wrapper_is_in
from hayserve.deployments.deployment import Deployment, FailedDeployment
from hayserve.deployments.load import load
from hayserve.deployments.registry import Registry
from hayserve.deployments.store import Entry, Store
from hayserve.deployments.target import Target
from hayserve.errors import HayserveError, NameTaken

logger = logging.getLogger("hayserve.deployments")

YAML_FILE = "pipeline.yml"


@dataclass(frozen=True, slots=True)
class Order:
    """What a deploy asks for.

    Args:
        name: The name to serve it under.
        bundle: Its files.
        aliases: More names.
        overwrite: Whether it may replace a deployment of that name.
        keep: Whether it is there again after a restart of the server.
        description: One line for people; empty to take the wrapper's own.
        skip_mcp: Whether it is kept out of the list of MCP tools.
    """

    name: str
    bundle: Bundle
    aliases: tuple[str, ...] = ()
    overwrite: bool = False
    keep: bool = True
    description: str = ""
    skip_mcp: bool = False

    @property
    def is_yaml(self) -> bool:
        return YAML_FILE in self.bundle.files


class Deployer:
    """Loads what it is given and, only if that works, puts it into the registry.

    Args:
        registry: Where it goes.
        store: Where the files of what was deployed are kept; code runs from there.
        reserved: Names that the server itself uses.
        at_once: How many deployments are loaded at a time at start.
    """

    def __init__(
        self, registry: Registry, store: Store, *, reserved: Collection[str], at_once: int = 4
    ) -> None:
        self._registry = registry
        self._store = store
        self._reserved = reserved
        self._at_once = at_once
        self._locks: dict[str, anyio.Lock] = {}

    async def deploy(self, order: Order) -> Deployment:
        """Load what `order` holds and serve it; what it replaces serves until then.

        Raises:
            InvalidRequest: A name cannot be used.
            NameTaken: A name is taken and `overwrite` was not asked for.
            DeployRefused: It cannot be served.
        """
        names = (order.name, *order.aliases)
        for name in names:
            check_name(name, reserved=self._reserved)
        if not order.is_yaml:
            check_wrapper_is_in(order.bundle)
        async with self._lock(order.name):
            self._registry.check_free(order.name, names, overwrite=order.overwrite)
            deployment = await self._load(order)
            # Another deploy may have taken an alias while this one was loading.
            self._registry.check_free(order.name, names, overwrite=order.overwrite)
            if order.keep:
                await anyio.to_thread.run_sync(self._store.record, _entry(order))
            self._registry.put(deployment)
        logger.info("deployed", extra={"deployment": order.name, "revision": deployment.revision})
        return deployment

    async def undeploy(self, name: str) -> str:
        """Stop to serve `name`, which may be an alias; gives the deployment's own name.

        Files that the server did not write itself stay as they are. Runs that are under way end.

        Raises:
            NotFound: Nothing is deployed under that name.
        """
        found = self._registry.find(name)
        own = found.name if found else name
        async with self._lock(own):
            self._registry.remove(own)
            await anyio.to_thread.run_sync(self._store.forget, own)
        logger.info("undeployed", extra={"deployment": own})
        return own

    async def load_all(
        self, targets: Sequence[Target], *, announced: Callable[[], None] = lambda: None
    ) -> None:
        """Load what the server starts with; what fails is listed in the registry, with its error.

        Of two with one name, the first is served. `announced` is called once the registry knows
        what is to come.
        """
        by_name: dict[str, Target] = {}
        for target in targets:
            taken = by_name.setdefault(target.name, target)
            if taken is not target:
                self._note_failure(target, _twice(target, taken))
        self._registry.loading = frozenset(
            name for target in by_name.values() for name in (target.name, *target.aliases)
        )
        announced()
        limiter = anyio.Semaphore(self._at_once)
        loaded: dict[str, Deployment] = {}

        async def load_one(target: Target) -> None:
            async with limiter:
                try:
                    loaded[target.name] = await self._load_target(target)
                except HayserveError as error:
                    self._note_failure(target, error)

        async with anyio.create_task_group() as tasks:
            for target in by_name.values():
                tasks.start_soon(load_one, target)
        for name in by_name:  # in the order of the targets, whichever was ready first
            if name in loaded:
                self._serve(loaded[name])
        self._registry.loading = frozenset()

    async def reload(self, target: Target) -> None:
        """Load `target` again; if that fails what was served goes on, and the log says why."""
        async with self._lock(target.name):
            try:
                deployment = await self._load_target(target)
            except HayserveError as error:
                logger.error(  # noqa: TRY400 - the traceback is the cause's
                    "reload_failed",
                    extra={"deployment": target.name, "why": str(error)},
                    exc_info=error.__cause__,
                )
                return
            self._registry.put(deployment)
        logger.info("reloaded", extra={"deployment": target.name})

    def kept(self) -> list[Target]:
        """What was deployed to this server earlier and is to be served again."""
        stored = self._store.entries()
        for broken in stored.broken:
            logger.error(
                "deployment_record_unusable",
                extra={"file": str(broken.path), "why": broken.reason},
            )
        for entry in stored.entries:
            self._store.collect(entry.name, entry.digest)
        return [
            _target_of(entry, self._store.folder_of(entry.name, entry.digest))
            for entry in stored.entries
        ]

    async def _load_target(self, target: Target) -> Deployment:
        for name in (target.name, *target.aliases):
            check_name(name, reserved=self._reserved)
        return await load(target)

    async def _load(self, order: Order) -> Deployment:
        folder = await anyio.to_thread.run_sync(self._store.save_bundle, order.name, order.bundle)
        return await load(_target_of(_entry(order), folder))

    def _serve(self, deployment: Deployment) -> None:
        try:
            self._registry.check_free(deployment.name, deployment.names, overwrite=False)
        except HayserveError as error:
            self._registry.fail(FailedDeployment(deployment.name, error, deployment.origin))
            return
        self._registry.put(deployment)
        logger.info("loaded", extra={"deployment": deployment.name})

    def _note_failure(self, target: Target, error: HayserveError) -> None:
        self._registry.fail(FailedDeployment(target.name, error, target.origin))
        logger.error(
            "not_loaded",
            extra={"deployment": target.name, "why": str(error)},
            exc_info=error.__cause__,
        )

    def _lock(self, name: str) -> anyio.Lock:
        return self._locks.setdefault(name, anyio.Lock())


def _entry(order: Order) -> Entry:
    return Entry(
        name=order.name,
        kind="yaml" if order.is_yaml else "wrapper",
        digest=order.bundle.digest,
        aliases=order.aliases,
        description=order.description,
        skip_mcp=order.skip_mcp,
        deployed_at=datetime.now(UTC),
    )


def _target_of(entry: Entry, folder: Path) -> Target:
    is_yaml = entry.kind == "yaml"
    return Target(
        entry.name,
        "yaml" if is_yaml else "folder",
        folder / YAML_FILE if is_yaml else folder,
        aliases=entry.aliases,
        origin="deployed",
        revision=entry.digest,
        description=entry.description,
        skip_mcp=entry.skip_mcp,
    )


def _twice(target: Target, first: Target) -> NameTaken:
    return NameTaken(
        f"{str(target.path)!r} is not served: the name {target.name!r} is taken by "
        f"{str(first.path)!r}.",
        hint="Rename one of them, or serve it by itself with `--name`.",
    )
