"""Leads a change: all workers or none."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn

import anyio
import anyio.to_thread

from hayserve.deployments.change import Answer, Change, Reached
from hayserve.deployments.ledger import Busy, Ledger, Outdated
from hayserve.deployments.members import Members, Worker
from hayserve.deployments.plan import Plan
from hayserve.deployments.pulse import Pulse
from hayserve.errors import DeployRefused, HayserveError, NotReady, from_fields, sentence

logger = logging.getLogger("hayserve.deployments")

# A worker that has loaded a revision only has to note that it holds requests back.
HOLD_SECONDS = 5.0
PATIENCE_SECONDS = 5.0
# A change that is made is confirmed within milliseconds, except by a worker that hangs.
CONFIRM_SECONDS = 10.0
_LOOK_SECONDS = 0.25
_ORDER: tuple[Reached, ...] = ("loaded", "held", "serving")


@dataclass(frozen=True, slots=True)
class Confirmed:
    """Who serves a change that was made.

    Args:
        workers: How many do.
        missing: Those that have not said so, by id.
    """

    workers: int
    missing: Mapping[str, Worker]


class Rollout:
    """Brings a change to every live worker.

    Every worker loads the new revision beside the old one; then every worker holds new requests
    for the name back, for milliseconds; then one transaction makes the change; then every worker
    swaps and lets the requests go. So no request is answered by the old revision after another
    was answered by the new one, and none fails.

    Args:
        ledger: Where changes are kept.
        members: The workers.
        pulse: Says when to look again.
        load_seconds: How long the workers may take to load.
    """

    def __init__(
        self, ledger: Ledger, *, members: Members, pulse: Pulse, load_seconds: float
    ) -> None:
        self._ledger = ledger
        self._members = members
        self._pulse = pulse
        self._load_seconds = load_seconds
        self._led: list[str] = []

    def leads(self, name: str) -> bool:
        """Whether a change of `name` is led here; else one that is open was left behind."""
        return name in self._led

    async def carry_out(self, plan: Plan) -> Confirmed:
        """Make the change that `plan` describes, and return when every worker serves it.

        Raises:
            Outdated: What it was decided on has changed.
            NameTaken: One of its names belongs to another deployment.
            DeployRefused: A worker cannot load it; everything stays as it was.
            NotReady: A worker did not answer in time; everything stays as it was.
        """
        change = await self._begin(plan)
        try:
            # A worker that is late itself says why, which is worth a little patience.
            await self._reach(change, "loaded", seconds=self._load_seconds + PATIENCE_SECONDS)
            await anyio.to_thread.run_sync(
                lambda: self._ledger.advance(change.id, old="loading", new="holding")
            )
            self._pulse.beat()
            await self._hold_and_commit(change)
            self._pulse.beat()
            return await self._confirmed(change)
        finally:
            try:
                with anyio.CancelScope(shield=True):
                    await anyio.to_thread.run_sync(self._end, change)
            finally:
                self._led.remove(plan.name)
                self._pulse.beat()

    async def _begin(self, plan: Plan) -> Change:
        """Open the change, when the one of the same deployment that is under way has ended."""
        with anyio.move_on_after(self._load_seconds):
            beat = self._pulse.next()
            while (change := await self._begun(plan)) is None:
                await beat.wait(_LOOK_SECONDS)
                beat = self._pulse.next()
            self._pulse.beat()
            return change
        raise NotReady(
            f"Another change of {plan.name!r} is under way.", hint="Try again in a moment."
        )

    async def _begun(self, plan: Plan) -> Change | None:
        change: Change | None = None
        self._led.append(plan.name)
        try:
            change = await anyio.to_thread.run_sync(self._opened, plan)
        finally:
            if change is None:
                self._led.remove(plan.name)
        return change

    def _opened(self, plan: Plan) -> Change | None:
        try:
            return self._ledger.begin(plan, coordinator=self._members.id)
        except Busy:
            return None

    def _end(self, change: Change) -> None:
        """What was committed is done, whatever happened then; what was not never will be."""
        if not self._ledger.end(change.id, stage="aborted"):
            self._ledger.end(change.id, stage="done")

    async def _hold_and_commit(self, change: Change) -> None:
        with anyio.move_on_after(HOLD_SECONDS):
            while True:
                await self._reach(change, "held", seconds=HOLD_SECONDS)
                if await anyio.to_thread.run_sync(self._ledger.commit, change):
                    return
        raise NotReady(
            f"New workers kept joining while {change.name!r} was to be changed; "
            "everything stays as it was.",
            hint="Try again in a moment.",
        )

    async def _confirmed(self, change: Change) -> Confirmed:
        try:
            await self._reach(change, "serving", seconds=CONFIRM_SECONDS)
        except (HayserveError, Outdated) as error:
            # It is made, and such a worker is replaced or catches up.
            logger.warning("not_confirmed", extra={"deployment": change.name, "why": str(error)})
        live = await anyio.to_thread.run_sync(self._members.live)
        answers = await anyio.to_thread.run_sync(self._ledger.answers, change.id)
        missing = _missing(live, answers, reached="serving")
        return Confirmed(len(live) - len(missing), missing)

    async def _reach(self, change: Change, reached: Reached, *, seconds: float) -> None:
        """Return when every live worker has come so far."""
        missing: Mapping[str, Worker] = {}
        with anyio.move_on_after(seconds):
            while True:
                beat = self._pulse.next()
                before = missing
                live, answers = await self._look(change)
                for gone in before.values() if reached == "loaded" else ():
                    if gone.id not in live and gone.id not in answers:
                        raise _ended(change, gone)
                for worker, answer in answers.items():
                    if answer.error is not None and worker in live:
                        _refuse(change, answer, live)
                missing = _missing(live, answers, reached=reached)
                if not missing:
                    return
                await beat.wait(_LOOK_SECONDS)
        names = ", ".join(worker.label for worker in missing.values())
        raise NotReady(
            f"Not every worker answered within {seconds:g} s: {names}. "
            f"{change.name!r} stays as it was.",
            hint="`hayserve status` shows the workers; one that hangs is replaced. Try again.",
        )

    async def _look(self, change: Change) -> tuple[Mapping[str, Worker], Mapping[str, Answer]]:
        answers = await anyio.to_thread.run_sync(self._ledger.answers, change.id)
        live = await anyio.to_thread.run_sync(self._members.live)
        # Last: who has ended it has done so before anything else that is seen here.
        stage = await anyio.to_thread.run_sync(self._ledger.stage, change.id)
        if stage in {"aborted", "done"}:
            raise Outdated
        return live, answers


def _missing(
    live: Mapping[str, Worker], answers: Mapping[str, Answer], *, reached: Reached
) -> Mapping[str, Worker]:
    enough = _ORDER[_ORDER.index(reached) :]
    there = {answer.worker for answer in answers.values() if answer.reached in enough}
    return {key: worker for key, worker in live.items() if key not in there}


def _ended(change: Change, worker: Worker) -> DeployRefused:
    return DeployRefused(
        f"{change.name!r} stays as it was: {worker.label} ended while it loaded the change.",
        hint="The server's log says how it ended. If it was stopped or restarted, try again.",
    )


def _refuse(change: Change, answer: Answer, live: Mapping[str, Worker]) -> NoReturn:
    assert answer.error is not None
    error = from_fields(answer.error)
    if len(live) == 1:
        raise error
    raise DeployRefused(
        sentence(f"{change.name!r} cannot be served by {live[answer.worker].label}")
        + f" {error.message}",
        hint=error.hint,
        param=error.param,
    )
