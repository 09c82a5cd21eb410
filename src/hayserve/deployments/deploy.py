"""Changes what is served, on every worker: deploy, undeploy, roll back, give other names."""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple, NoReturn, Protocol

from hayserve.deployments.change import Active
from hayserve.deployments.declarations import Declarations
from hayserve.deployments.deployment import Origin
from hayserve.deployments.history import earlier, last_served
from hayserve.deployments.in_thread import in_thread
from hayserve.deployments.ledger import Ledger, Outdated
from hayserve.deployments.members import Worker
from hayserve.deployments.order import Order, Outcome
from hayserve.deployments.plan import (
    Plan,
    alias_plan,
    deploy_plan,
    distinct,
    note_on_loss,
    with_aliases,
)
from hayserve.deployments.proof import Proof
from hayserve.deployments.registry import Registry
from hayserve.deployments.revision import NOBODY, Author, Revision
from hayserve.deployments.revisions import Revisions
from hayserve.deployments.rollout import Rollout
from hayserve.deployments.rules import Rules
from hayserve.deployments.source import Source
from hayserve.deployments.target import Target
from hayserve.errors import (
    DeployRefused,
    HayserveError,
    InvalidRequest,
    NameTaken,
    NotFound,
    NotReady,
)

logger = logging.getLogger("hayserve.deployments")

# What becomes of what a server was started with, when it is undeployed.
_STAYS: Mapping[Origin, str] = {
    "pipelines dir": "Its files stay where they are; it is served again by a deploy, or at the "
    "next start if they have changed.",
    "command line": "What it was made of stays where it is; a server that is started with it "
    "serves it again.",
    "program": "The program serves it again at its next start.",
}
_TRIES = 20


class Prove(Protocol):
    """Tries a target out where it can do no harm."""

    async def __call__(self, target: Target, *, check: str | None = None) -> Proof: ...


class ProveTogether(Protocol):
    """Tries many targets out in one go; gives the names of those that can be served."""

    async def __call__(self, targets: Sequence[Target]) -> set[str]: ...


class Books(NamedTuple):
    """Where it is written down what is served and was served, and where its files are."""

    ledger: Ledger
    declarations: Declarations
    revisions: Revisions
    source: Source


Decide = Callable[[Active | None], Awaitable[Plan | Outcome]]


class Deployer:
    """Makes the changes that people ask for, whole or not at all.

    Args:
        registry: What this process serves; read, never changed, here.
        books: What should be served, by every process.
        rollout: Brings a change to every worker.
        prove: Tries a revision out before any worker loads it; None tries nothing out.
        rules: What may be deployed.
        prove_together: Tries many out in one go, at a start; None where that is not possible.
    """

    def __init__(
        self,
        registry: Registry,
        *,
        books: Books,
        rollout: Rollout,
        prove: Prove | None,
        rules: Rules,
        prove_together: ProveTogether | None = None,
    ) -> None:
        self._registry = registry
        self._ledger, self._declarations, self._revisions, self._source = books
        self._rollout = rollout
        self._prove = prove
        self._prove_together = prove_together
        self._rules = rules

    async def deploy(self, order: Order) -> Outcome:
        """Serve what `order` holds, on every worker; until then what it replaces is served.

        Nothing changes if exactly that is served already.

        Raises:
            InvalidRequest: A name cannot be used.
            TooLarge: Its files are too large, or too many.
            NameTaken: A name is taken and `overwrite` was not asked for.
            NotReady: The server is starting, or a worker did not answer in time.
            DeployRefused: It cannot be served; nothing has changed.
        """
        self._rules.check(order)
        proof: Proof | None = None
        lost = ""

        async def decide(active: Active | None) -> Plan | Outcome:
            nonlocal proof, lost
            decided = self._plan(order, active)
            lost = note_on_loss(order, active)
            is_new = isinstance(decided, Plan) and decided.content is not None
            if proof is None and (is_new or order.check is not None):
                proof = await self.proven(order)
            elif is_new:  # a refusal or a purge of the same files may have taken them away
                await self._save(order)
            return decided

        try:
            with await in_thread(self._source.mark, order.name, order.content):
                outcome = await self._change(order.name, decide)
        except HayserveError as error:
            await self.discard(order)
            _refuse(error, is_served=self._registry.find(order.name) is not None)
        answer = proof.answer if proof else None
        return replace(outcome, answer=answer, note=outcome.note or lost)

    async def undeploy(self, name: str, *, author: Author = NOBODY, purge: bool = False) -> Outcome:
        """Stop to serve `name`; runs that are under way end. Its history stays, unless `purge`.

        Files that the server did not write itself stay as they are.

        Raises:
            InvalidRequest: It is an alias: undeploying would take all its other names too.
            NotFound: Nothing is deployed under that name.
            NotReady: The server is starting, or a worker did not answer in time.
        """
        note = ""

        async def decide(active: Active | None) -> Plan | Outcome:
            nonlocal note
            if active is None:
                return await self._forget(name, purge=purge, author=author)
            note = _STAYS.get(active.revision.origin, "")
            return Plan(name, "undeploy", active, author=author)

        outcome = await self._change(name, decide)
        if purge and not await self._purge(name):
            note = "It was deployed again meanwhile: its past stays."
        return replace(outcome, note=" ".join(filter(None, (outcome.note, note))))

    async def rollback(
        self, name: str, *, to: int | None = None, author: Author = NOBODY
    ) -> Outcome:
        """Serve an earlier revision again: `to`, or the last one before that was ever served.

        Raises:
            InvalidRequest: There is no earlier one.
            NotFound: There is no such deployment or revision.
            DeployRefused: It cannot be served any more; nothing has changed.
            NotReady: As `deploy`.
        """

        async def decide(active: Active | None) -> Plan | Outcome:
            history = await in_thread(self._ledger.history, name)
            if not history:
                raise self._not_deployed(name)
            number = earlier(history, active) if to is None else to
            revision = await in_thread(self._revisions.get, name, number)
            if active is not None and active.revision.number == number:
                return _unchanged(active)
            await self._prove_again(revision)
            last = active or last_served(history)
            return Plan(
                name,
                "rollback",
                active,
                number=number,
                aliases=last.aliases if last else (),
                keep=last.keep if last else True,
                author=author,
            )

        return await self._change(name, decide)

    async def alias(
        self,
        name: str,
        *,
        add: Sequence[str] = (),
        remove: Sequence[str] = (),
        author: Author = NOBODY,
    ) -> Outcome:
        """Give a deployment other names; the loaded instance stays.

        Raises:
            InvalidRequest: A name cannot be used, or is not one of its aliases.
            NotFound: Nothing is deployed under that name.
            NameTaken: A name belongs to another deployment.
            NotReady: As `deploy`.
        """
        self._rules.check_names((name, *add))

        async def decide(active: Active | None) -> Plan | Outcome:
            if active is None:
                raise self._not_deployed(name)
            aliases = with_aliases(active, add=add, remove=remove)
            if aliases == active.aliases:
                return _unchanged(active)
            return alias_plan(active, aliases, author=author)

        return await self._change(name, decide)

    async def proven(self, order: Order) -> Proof | None:
        """Keep the files of what is ordered, and try it out.

        Raises:
            DeployRefused: It cannot be served.
        """
        await self._save(order)
        if self._prove is None or order.kind == "thing":
            return None
        target = await in_thread(self._source.target_of, order.name, order.content, order.bundle)
        try:
            return await self._prove(target, check=order.check)
        except HayserveError as error:
            _log_refusal(order.name, error)
            raise

    async def proven_together(self, orders: Sequence[Order]) -> set[str]:
        """Keep the files of what is ordered, and try all of it out; gives the names that passed."""
        if self._prove_together is None or not orders:
            return set()
        targets: list[Target] = []
        for order in orders:
            await self._save(order)
            target_of = self._source.target_of
            targets.append(await in_thread(target_of, order.name, order.content, order.bundle))
        return await self._prove_together(targets)

    async def discard(self, order: Order) -> None:
        """Forget the files of what was refused, unless a revision has them too."""
        if order.bundle is None:
            return
        digest = order.bundle.digest
        await in_thread(self._revisions.discard, digest)
        known = await in_thread(self._revisions.of, order.name)
        if all(revision.content.digest != digest for revision in known):
            await in_thread(self._source.discard, order.name, digest)

    async def _change(self, name: str, decide: Decide) -> Outcome:
        """Carry out what is decided; decide again where something has changed meanwhile."""
        if name in self._registry.loading:
            raise NotReady(f"{name!r} is being loaded.", hint="Try again in a moment.")
        for _ in range(_TRIES):
            decided = await decide(await in_thread(self._ledger.active, name))
            if isinstance(decided, Outcome):
                return decided
            try:
                return await self._carry_out(decided)
            except Outdated:
                continue
        raise NotReady(
            f"{name!r} is changed by others all the time.", hint="Try again in a moment."
        )

    async def _carry_out(self, plan: Plan) -> Outcome:
        confirmed = await self._rollout.carry_out(plan)
        active = await in_thread(self._ledger.active, plan.name)
        number = active.revision.number if active else None
        known = {"deployment": plan.name, "action": plan.action, "revision": number}
        logger.info("changed", extra=known)
        outcome = _unchanged(active) if active else Outcome(plan.name, None)
        return replace(
            outcome,
            changed=True,
            workers=confirmed.workers,
            note=_note_on(confirmed.missing),
        )

    def _plan(self, order: Order, active: Active | None) -> Plan | Outcome:
        """How to come to what is ordered, or that it is so already.

        Raises:
            NameTaken: Something else is served under that name and may not be replaced.
        """
        if active is None:
            return deploy_plan(order, None, aliases=order.aliases or ())
        given = order.aliases
        aliases = active.aliases if given is None else distinct(order.name, given)
        if self._is_served(order, active):
            if aliases == active.aliases and order.keep == active.keep:
                return _unchanged(active)
            return replace(alias_plan(active, aliases, author=order.author), keep=order.keep)
        if not order.overwrite and self._registry.find(order.name) is not None:
            raise NameTaken(
                f"Pipeline '{order.name}' already exists.",
                hint="Deploy with `--overwrite` to replace it.",
            )
        return deploy_plan(order, active, aliases=aliases)

    def _is_served(self, order: Order, active: Active) -> bool:
        served = self._registry.find(order.name)
        is_loaded = served is not None and served.number == active.revision.number
        return is_loaded and not order.fresh and active.revision.content == order.content

    async def _prove_again(self, revision: Revision) -> None:
        if self._prove is None or revision.content.kind == "thing":
            return
        try:
            with await in_thread(self._source.mark, revision.name, revision.content):
                await self._prove(await in_thread(self._source.target, revision))
        except HayserveError as error:
            _log_refusal(revision.name, error)
            _refuse(error, is_served=self._registry.find(revision.name) is not None)

    async def _forget(self, name: str, *, purge: bool, author: Author) -> Plan | Outcome:
        """Forget that something failed to load, or only a past; refuse what there never was."""
        served = self._registry.find(name)
        if served is not None and served.name != name:
            raise self._not_deployed(name)
        if await in_thread(self._declarations.forget_failures, name):
            return Plan(name, "undeploy", None, author=author)  # until no worker lists it
        known = await in_thread(self._revisions.of, name)
        if not (purge and known):
            raise self._not_deployed(name)
        return Outcome(name, None)

    async def _save(self, order: Order) -> None:
        if order.bundle is not None:
            await in_thread(self._revisions.save, order.bundle)

    async def _purge(self, name: str) -> bool:
        known = await in_thread(self._revisions.of, name)
        if not await in_thread(self._ledger.purge, name):
            return False
        for digest in {one.content.digest for one in known if one.content.is_stored}:
            await in_thread(self._source.discard, name, digest)
        return True

    def _not_deployed(self, name: str) -> HayserveError:
        served = self._registry.find(name)
        if served is not None and served.name != name:
            return InvalidRequest(
                f"{name!r} is an alias of {served.name!r}.",
                hint=f"Name {served.name!r}; `hayserve alias {served.name} --remove {name}` takes "
                "only the alias away.",
            )
        names = ", ".join(one.name for one in self._registry.deployments())
        return NotFound(
            f"No deployment is named {name!r}.", hint=f"Deployed: {names or 'nothing yet'}."
        )


def _unchanged(active: Active) -> Outcome:
    return Outcome(
        active.name,
        active.revision.number,
        digest=active.revision.content.digest,
        aliases=active.aliases,
        changed=False,
        note="Exactly this is served already.",
    )


def _note_on(missing: Mapping[str, Worker]) -> str:
    if not missing:
        return ""
    names = ", ".join(worker.label for worker in missing.values())
    return f"It is done, and not yet confirmed by {names}; such a worker catches up or is replaced."


def _log_refusal(name: str, error: HayserveError) -> None:
    logger.error(
        "deploy_refused",
        extra={"deployment": name, "why": str(error)},
        exc_info=error.__cause__,
    )


def _refuse(error: HayserveError, *, is_served: bool) -> NoReturn:
    """Raise `error`; whoever reads it learns that what was served still is."""
    if is_served and isinstance(error, DeployRefused):
        error.hint = f"{error.hint} What was deployed before goes on serving.".lstrip()
    raise error
