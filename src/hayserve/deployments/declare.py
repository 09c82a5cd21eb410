"""Brings what a server is started with into what should be served."""

import hashlib
import logging
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import anyio

from hayserve.deployments.bundle import Bundle
from hayserve.deployments.change import Active, Declaration
from hayserve.deployments.declarations import Entry
from hayserve.deployments.deploy import Books, Deployer
from hayserve.deployments.in_thread import in_thread
from hayserve.deployments.members import Members
from hayserve.deployments.order import Order
from hayserve.deployments.plan import Plan, alias_plan, deploy_plan, distinct
from hayserve.deployments.revision import YAML_FILE, Author
from hayserve.deployments.revisions import declared_digest
from hayserve.deployments.rules import Rules
from hayserve.deployments.target import Target
from hayserve.errors import HayserveError, NameTaken, as_fields

logger = logging.getLogger("hayserve.deployments")


@dataclass(frozen=True, slots=True)
class Declared:
    """One target as an order, and the hash of all that was said of it."""

    order: Order
    digest: str


class Declarer:
    """Serves what the command line, the pipelines folder or a program names.

    A target becomes a revision when it is new or has changed since this machine was last started
    with it. One that is as it was stays as it is: what was deployed over it since then is served.

    Args:
        deployer: Makes the changes.
        books: What should be served, and was.
        members: The workers.
        rules: What may be deployed.
        ignore: Shell patterns of files that are left out.
        at_once: How many are tried out at a time.
    """

    def __init__(
        self,
        deployer: Deployer,
        *,
        books: Books,
        members: Members,
        rules: Rules,
        ignore: Sequence[str],
        at_once: int,
    ) -> None:
        self._deployer = deployer
        self._ledger, self._declarations, self._revisions, self._source = books
        self._members = members
        self._rules = rules
        self._ignore = ignore
        self._at_once = at_once
        self._proven: set[tuple[str, str]] = set()

    async def declare(self, targets: Sequence[Target]) -> None:
        """Serve `targets`, and what was named at the last start and is not any more no longer.

        What cannot be served is listed with its error; an older revision of it is served on. What
        becomes of each is noted as decided in this run of the server.
        """
        owners, clashes = _owners_of_names(targets)
        own = {target.name: target for target in owners.values()}
        last = await in_thread(self._declarations.of, self._members.node)
        is_first = await in_thread(self._members.is_alone)
        if is_first:
            await self._take_out_unkept()
            await self._collect()
        await self._take_out_absent(set(last) - set(own))
        settled = await in_thread(self._note_unchanged, own, last)
        new = [target for name, target in own.items() if name not in settled]
        if is_first:
            self._proven = await self._prove_together(new)
        limiter = anyio.Semaphore(self._at_once)

        async def declare_one(target: Target) -> None:
            async with limiter:
                await self._declare(target, last=last.get(target.name), at_once=is_first)

        async with anyio.create_task_group() as tasks:
            for target in new:
                tasks.start_soon(declare_one, target)
        for target, error in clashes:
            await self._fail(target, error, digest="")
        if is_first:
            await in_thread(self._ledger.arrange, list(own))

    async def finish(self) -> None:
        """Tell the other workers that all of the start is served, or listed with its error."""
        all_of_it = {"": Entry(self._members.run)}
        await in_thread(self._declarations.note, self._members.node, all_of_it)

    async def renew(self, target: Target) -> None:
        """Serve what has changed in the files of `target` as a new revision.

        Where that fails what was served goes on, and status says why. Nothing happens where it
        was undeployed, or something was deployed over it.
        """
        active = await in_thread(self._ledger.active, target.name)
        if active is None:
            declared = await in_thread(self._declarations.of, self._members.node)
            is_own = target.name in declared and declared[target.name].has_failed
        else:
            is_own = active.revision.origin == target.origin
        if not is_own:
            return
        digest = ""
        try:
            found = await in_thread(self._declared, target)
            digest = found.digest
            is_new = found.order.kind == "object"  # what else it imports is not in its digest
            await self._deployer.deploy(replace(found.order, fresh=is_new))
        except HayserveError as error:
            await self._fail(target, error, digest=digest)
            return
        await self._note(target, digest)

    def _note_unchanged(
        self, own: Mapping[str, Target], last: Mapping[str, Declaration]
    ) -> Collection[str]:
        """Note in one go what is served as it was declared, and is declared as it was."""
        origins = {one.name: one.revision.origin for one in self._ledger.snapshot().active}
        entries: dict[str, Entry] = {}
        for name, target in own.items():
            if name not in last or origins.get(name) != target.origin:
                continue
            with suppress(HayserveError, OSError):  # it is told when it is looked at by itself
                digest = self._declared(target).digest
                if last[name] == Declaration(digest, has_failed=False):
                    entries[name] = Entry(self._members.run, digest, target.origin)
        self._declarations.note(self._members.node, entries)
        return entries

    async def _declare(self, target: Target, *, last: Declaration | None, at_once: bool) -> None:
        digest = ""
        try:
            found = await in_thread(self._declared, target)
            digest = found.digest
            active = await in_thread(self._ledger.active, target.name)
            if await self._is_settled(found, active, last=last):
                pass
            elif at_once:
                await self._activate(found.order, active)
            else:
                await self._deployer.deploy(found.order)
        except HayserveError as error:
            await self._fail(target, error, digest=digest)
            return
        await self._note(target, digest)

    async def _is_settled(
        self, found: Declared, active: Active | None, *, last: Declaration | None
    ) -> bool:
        """Whether what should be served is decided: it was declared before as it is now."""
        order = found.order
        if active is None:
            if last != Declaration(found.digest, has_failed=False):
                return False
            if order.origin != "pipelines dir":  # whoever names it now wants it
                return False
            logger.info("undeployed_earlier", extra={"deployment": order.name})
            return True
        if active.revision.origin != "deployed":
            return last == Declaration(found.digest, has_failed=False)
        if last is None:
            unchanged = await in_thread(self._was_declared_elsewhere, order)
        else:
            unchanged = last.digest == found.digest
        if unchanged:
            logger.info("deployed_over", extra={"deployment": order.name})
        return unchanged

    def _was_declared_elsewhere(self, order: Order) -> bool:
        """Whether another machine was started with the same, before something was deployed."""
        known = [one for one in self._revisions.of(order.name) if one.origin != "deployed"]
        return bool(known) and known[-1].content == order.content

    async def _activate(self, order: Order, active: Active | None) -> None:
        """Serve `order` at once: nobody else serves yet."""
        self._rules.check(order)
        aliases = distinct(order.name, order.aliases or ())
        if active is not None and active.revision.content == order.content:
            if active.aliases == aliases:
                return
            plan = alias_plan(active, aliases, author=order.author)
        else:
            if (order.name, order.content.digest) not in self._proven:
                await self._prove(order)
            plan = deploy_plan(order, None, aliases=aliases)
        await in_thread(self._ledger.activate, plan, coordinator=self._members.id)

    async def _prove(self, order: Order) -> None:
        try:
            with await in_thread(self._source.mark, order.name, order.content):
                await self._deployer.proven(order)
        except HayserveError:
            await self._deployer.discard(order)
            raise

    async def _prove_together(self, targets: Sequence[Target]) -> set[tuple[str, str]]:
        """Try out what is new, many in one process; gives the names and digests that passed."""
        proven: set[tuple[str, str]] = set()

        async def prove(some: Sequence[Target]) -> None:
            orders = await in_thread(self._orders, some)
            # What goes wrong is told when it is tried out by itself.
            with suppress(HayserveError):
                names = await self._deployer.proven_together(orders)
                proven.update((one.name, one.content.digest) for one in orders if one.name in names)

        files = [target for target in targets if target.kind != "thing"]
        if len(files) > self._at_once:
            async with anyio.create_task_group() as tasks:
                for first in range(self._at_once):
                    tasks.start_soon(prove, files[first :: self._at_once])
        return proven

    def _orders(self, targets: Sequence[Target]) -> list[Order]:
        orders: list[Order] = []
        for target in targets:
            with suppress(HayserveError, OSError):
                order = self._declared(target).order
                self._rules.check(order)
                orders.append(order)
        return orders

    async def _collect(self) -> None:
        """Take away the files that a server which was killed left behind."""
        active = (await in_thread(self._ledger.snapshot)).active
        served = [(one.name, one.revision.content) for one in active]
        keep = {(name, content.digest) for name, content in served if content.is_stored}
        with suppress(HayserveError):  # it only tidies up
            await in_thread(self._source.collect, keep)

    async def _take_out_unkept(self) -> None:
        for active in (await in_thread(self._ledger.snapshot)).active:
            if not active.keep:
                await self._take_out(active)

    async def _take_out_absent(self, names: Collection[str]) -> None:
        """Take out what this machine was started with before and is not any more.

        What was deployed over it stays, and the memory of what it was deployed over.
        """
        active = {one.name: one for one in (await in_thread(self._ledger.snapshot)).active}
        for name in names:
            found = active.get(name)
            if found is not None and found.revision.origin == "deployed":
                continue
            await in_thread(self._declarations.forget, name, node=self._members.node)
            if found is not None:
                await self._take_out(found)

    async def _take_out(self, active: Active) -> None:
        plan = Plan(active.name, "undeploy", active)
        await in_thread(self._ledger.activate, plan, coordinator=self._members.id)

    def _declared(self, target: Target) -> Declared:
        order = _order(target, ignore=self._ignore)
        return Declared(order, declared_digest(order.content, order.aliases or ()))

    async def _note(self, target: Target, digest: str) -> None:
        entry = Entry(self._members.run, digest, target.origin)
        await in_thread(self._declarations.note, self._members.node, {target.name: entry})

    async def _fail(self, target: Target, error: HayserveError, *, digest: str) -> None:
        logger.error(
            "not_loaded",
            extra={"deployment": target.name, "why": str(error)},
            exc_info=error.__cause__,
        )
        entry = Entry(self._members.run, digest, target.origin, as_fields(error))
        await in_thread(self._declarations.note, self._members.node, {target.name: entry})


def _order(target: Target, *, ignore: Sequence[str]) -> Order:
    bundle: Bundle | None = None
    digest = place = ""
    if target.kind == "folder":
        bundle = Bundle.of_folder(target.path, ignore=ignore)
    elif target.kind == "yaml":
        bundle = Bundle({YAML_FILE: target.path.read_bytes()})
    elif target.kind == "object":
        digest = hashlib.sha256(target.path.read_bytes()).hexdigest()
        place = f"{target.path.resolve()}:{target.attribute}"
    else:
        place = target.name
    return Order(
        target.name,
        bundle,
        kind=target.kind,
        digest=digest,
        place=place,
        parameters=target.parameters,
        limits=target.limits,
        aliases=target.aliases,
        overwrite=True,
        description=target.description,
        skip_mcp=target.skip_mcp,
        origin=target.origin,
        author=Author(target.origin, _where(target.path)),
    )


def _where(path: Path) -> str:
    return "" if path == Path() else str(path.resolve())


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
