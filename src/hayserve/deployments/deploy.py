"""Brings deployments into service and takes them out of it; nothing else changes the registry."""

import logging
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Literal, ParamSpec, TypeVar

import anyio
import anyio.to_thread

from hayserve.deployments.bundle import Bundle, check_alias, check_name, check_wrapper_is_in
from hayserve.deployments.deployment import Deployment, FailedDeployment
from hayserve.deployments.load import load
from hayserve.deployments.registry import Registry
from hayserve.deployments.store import Entry, Store
from hayserve.deployments.target import Target
from hayserve.errors import HayserveError, InvalidRequest, Misconfigured, NameTaken, NotReady

P = ParamSpec("P")
R = TypeVar("R")

logger = logging.getLogger("hayserve.deployments")

YAML_FILE = "pipeline.yml"


@dataclass(frozen=True, slots=True)
class Order:
    """What a deploy asks for.

    Args:
        name: The name to serve it under.
        bundle: Its files.
        kind: Whether they are a wrapper, or the one file `pipeline.yml`.
        aliases: More names; None for those that the deployment that it replaces has.
        overwrite: Whether it may replace a deployment of that name.
        keep: Whether it is there again after a restart of the server.
        description: One line for people; empty to take the wrapper's own.
        skip_mcp: Whether it is kept out of the list of MCP tools.
    """

    name: str
    bundle: Bundle
    kind: Literal["wrapper", "yaml"] = "wrapper"
    aliases: tuple[str, ...] | None = None
    overwrite: bool = False
    keep: bool = True
    description: str = ""
    skip_mcp: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name, *(self.aliases or ()))


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
            NotReady: What has a name is still being loaded for the first time.
            DeployRefused: It cannot be served.
            Misconfigured: Its files cannot be stored.
        """
        self._check_names(order.names)
        if order.kind == "wrapper":
            check_wrapper_is_in(order.bundle)
        async with self._lock(order.name):
            self._check_free(order)
            order = replace(order, aliases=self._aliases_for(order))
            deployment = await self._load(order)
            # Another deploy may have taken an alias while this one was loading.
            self._check_free(order)
            if order.keep:
                await _on_disk(self._store.record, _entry(order))
            self._registry.put(deployment)
        logger.info("deployed", extra={"deployment": order.name, "revision": deployment.revision})
        return deployment

    async def undeploy(self, name: str) -> Deployment | FailedDeployment:
        """Stop to serve `name`, or forget that it failed to load; gives what it was.

        Files that the server did not write itself stay as they are. Runs that are under way end.

        Raises:
            InvalidRequest: It is an alias: undeploying would take all its other names too.
            NotFound: Nothing is deployed under that name.
            NotReady: It is still being loaded for the first time.
            Misconfigured: The disk keeps what should be forgotten; it is served as before.
        """
        own = self._registry.own_name(name)
        if own != name:
            raise InvalidRequest(
                f"{name!r} is an alias of {own!r}.",
                hint=f"Undeploy {own!r}, or deploy it again with the aliases that it should have.",
            )
        async with self._lock(own):
            # What failed to load from the pipelines folder may have a name that nothing can have.
            with suppress(InvalidRequest):
                await _on_disk(self._store.forget, own)
            removed = self._registry.remove(own)
        logger.info("undeployed", extra={"deployment": own})
        return removed

    async def load_all(
        self, targets: Sequence[Target], *, announced: Callable[[], None] = lambda: None
    ) -> None:
        """Load what the server starts with; what fails is listed in the registry, with its error.

        Each is served as soon as it is ready. Of two with one name, the first is served.
        `announced` is called once the registry knows what is to come.
        """
        owners, clashes = _owners_of_names(targets)
        self._registry.loading = frozenset(owners)
        announced()
        limiter = anyio.Semaphore(self._at_once)

        async def load_one(target: Target) -> None:
            async with limiter:
                await self._load_first(target)

        async with anyio.create_task_group() as tasks:
            for own_name in dict.fromkeys(target.name for target in owners.values()):
                tasks.start_soon(load_one, owners[own_name])
        for target, error in clashes:
            self._note_failure(target, error)
        # Whichever was ready first: the order is that of the targets.
        self._registry.arrange(list(owners))

    async def reload(self, target: Target) -> None:
        """Load `target` again; if that fails what was served goes on, and status says why.

        Nothing happens where it was undeployed, or something else is served under its name.
        """
        async with self._lock(target.name):
            if not self._registry.is_from(target.origin, target.name):
                return
            try:
                deployment = await self._load_target(target)
                self._registry.check_free(deployment.name, deployment.names, overwrite=True)
            except HayserveError as error:
                self._note_failure(target, error)
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
            lost = Misconfigured(
                f"The record {broken.path.name!r} of an earlier deploy cannot be used: "
                f"{broken.reason}",
                hint="Deploy it again, or undeploy it to forget it.",
            )
            self._registry.fail(FailedDeployment(broken.path.stem, lost, "deployed"))
        for entry in stored.entries:
            self._store.collect(entry.name, entry.digest)
        return [
            _target_of(entry, self._store.folder_of(entry.name, entry.digest))
            for entry in stored.entries
        ]

    async def _load_target(self, target: Target) -> Deployment:
        self._check_names((target.name, *target.aliases))
        return await load(target)

    def _check_names(self, names: tuple[str, ...]) -> None:
        own, *aliases = names
        check_name(own, reserved=self._reserved)
        for alias in aliases:
            check_alias(alias, reserved=self._reserved)

    async def _load_first(self, target: Target) -> None:
        try:
            self._registry.put(await self._load_target(target))
            logger.info("loaded", extra={"deployment": target.name})
        except HayserveError as error:
            self._note_failure(target, error)
        finally:
            self._registry.loading -= {target.name, *target.aliases}

    async def _load(self, order: Order) -> Deployment:
        folder = await _on_disk(self._store.save_bundle, order.name, order.bundle)
        try:
            return await load(_target_of(_entry(order), folder))
        except HayserveError as error:
            served = self._registry.find(order.name)
            if served is None or served.revision != order.bundle.digest:
                await _on_disk(self._store.discard, order.name, order.bundle.digest)
            logger.error(  # noqa: TRY400 - the traceback is the cause's
                "deploy_refused",
                extra={"deployment": order.name, "why": str(error)},
                exc_info=error.__cause__,
            )
            if served is not None:
                error.hint = f"{error.hint} What was deployed before goes on serving.".lstrip()
            raise

    def _aliases_for(self, order: Order) -> tuple[str, ...]:
        if order.aliases is not None:
            return order.aliases
        served = self._registry.find(order.name)
        return served.aliases if served is not None else ()

    def _check_free(self, order: Order) -> None:
        loading = next((name for name in order.names if name in self._registry.loading), None)
        if loading is not None:
            raise NotReady(f"{loading!r} is being loaded.", hint="Deploy again in a moment.")
        self._registry.check_free(order.name, order.names, overwrite=order.overwrite)

    def _note_failure(self, target: Target, error: HayserveError) -> None:
        self._registry.fail(FailedDeployment(target.name, error, target.origin))
        logger.error(
            "not_loaded",
            extra={"deployment": target.name, "why": str(error)},
            exc_info=error.__cause__,
        )

    def _lock(self, name: str) -> anyio.Lock:
        return self._locks.setdefault(name, anyio.Lock())


async def _on_disk(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    try:
        return await anyio.to_thread.run_sync(
            partial(function, *args, **kwargs), limiter=anyio.CapacityLimiter(1)
        )
    except OSError as error:
        raise Misconfigured(
            f"What is deployed cannot be stored: {error.strerror or error}.",
            hint="Look at the disk, or name another folder with HAYSERVE_DATA_DIR.",
            param="data_dir",
        ) from error


def _entry(order: Order) -> Entry:
    return Entry(
        name=order.name,
        kind=order.kind,
        digest=order.bundle.digest,
        aliases=order.aliases or (),
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


def _owners_of_names(
    targets: Sequence[Target],
) -> tuple[dict[str, Target], list[tuple[Target, NameTaken]]]:
    """Which target gets which name, own or alias, and which targets come too late."""
    owners: dict[str, Target] = {}
    clashes: list[tuple[Target, NameTaken]] = []
    for target in targets:
        names = (target.name, *target.aliases)
        taken = next((name for name in names if name in owners), None)
        if taken is None:
            owners.update(dict.fromkeys(names, target))
        else:
            clashes.append((target, _twice(target, taken, first=owners[taken])))
    return owners, clashes


def _twice(target: Target, name: str, *, first: Target) -> NameTaken:
    return NameTaken(
        f"{str(target.path)!r} is not served: the name {name!r} is taken by {str(first.path)!r}.",
        hint="Rename one of them, or serve it by itself with `--name`.",
    )
