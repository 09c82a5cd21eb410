"""Lists and cancels runs, whichever worker has them.

There is no row per run, which would cost each request a write: workers ask each other when
somebody wants to know.
"""

import os
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import anyio
import anyio.to_thread

from hayserve.deployments.members import BEAT_SECONDS, Members, Worker
from hayserve.deployments.pulse import Pulse
from hayserve.errors import NotFound, NotReady, StorageUnavailable
from hayserve.runs.questions import Kind, Question, Questions
from hayserve.runs.state import Runs, RunState
from hayserve.storage.database import Database

PATIENCE_SECONDS = 5.0

Body: TypeAlias = Mapping[str, Any]
Workers: TypeAlias = Mapping[str, Worker]


@dataclass(frozen=True, slots=True)
class Found:
    """The runs that are alive.

    Args:
        runs: The oldest first.
        silent: The workers that live and did not answer in time.
    """

    runs: Sequence[RunState]
    silent: Sequence[Worker]


class RunsEverywhere:
    """The runs of all workers that share a database.

    Args:
        runs: Those of this one.
        database: Through which the others are asked.
        members: The list of workers, with this one on it.
        pulse: Says when a question or a reply may be there.
        patience_seconds: How long the others have to answer.
    """

    def __init__(
        self,
        runs: Runs,
        *,
        database: Database,
        members: Members,
        pulse: Pulse,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self._runs = runs
        self._database = database
        self._members = members
        self._pulse = pulse
        self._patience = patience_seconds
        self._questions = Questions(database, worker=members.id)
        self._answered: frozenset[int] = frozenset()
        self._me = Worker(members.id, members.node, os.getpid(), members.run, {})

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Answer the other workers for as long as the block lasts."""
        if not self._database.is_shared:
            yield
            return
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._answer_others)
            try:
                yield
            finally:
                tasks.cancel_scope.cancel()

    async def live(self, *, deployment: str | None = None, owner: str | None = None) -> Found:
        """What is alive, of all deployments or of one, and of all owners or of one.

        Raises:
            StorageUnavailable: The other workers cannot be asked.
        """
        others = await self._others()
        subject = {"deployment": deployment, "owner": owner}
        bodies = await self._ask(others, "list", subject)
        runs = [replace(one, worker=self._me.label) for one in self._own(subject)]
        for worker, body in bodies.items():
            theirs = map(RunState.from_fields, body["runs"])
            runs += [replace(one, worker=others[worker].label) for one in theirs]
        silent = await self._silent(others, bodies)
        return Found(sorted(runs, key=lambda run: -run.age_seconds), silent)

    async def cancel(self, run_id: str, *, reason: str, owner: str | None = None) -> Worker:
        """Tell a run to stop, which may have to be an owner's; gives the worker that has it.

        Raises:
            NotFound: No worker has a run of that id.
            NotReady: Nor has any that answered, and some did not.
            StorageUnavailable: The other workers cannot be asked.
        """
        if self._runs.cancel(run_id, reason=reason, owner=owner):
            return self._me
        others = await self._others()
        subject = {"id": run_id, "reason": reason, "owner": owner}
        bodies = await self._ask(others, "cancel", subject, is_enough=_cancelled)
        for worker, body in bodies.items():
            if _cancelled(body):
                return others[worker]
        if silent := await self._silent(others, bodies):
            raise NotReady(
                f"No worker that answers has the run {run_id!r}; silent: "
                f"{', '.join(worker.label for worker in silent)}.",
                hint="Try again in a moment.",
            )
        raise NotFound(
            f"No run that is alive has the id {run_id!r}.", hint="It may have ended already."
        )

    def _own(self, subject: Body) -> list[RunState]:
        """Those of this worker that are of one deployment or of all, and of one owner or of all."""
        return [
            one
            for one in self._runs.live()
            if subject["deployment"] in {None, one.deployment}
            and subject.get("owner") in {None, one.owner}
        ]

    async def _ask(
        self,
        others: Workers,
        kind: Kind,
        subject: Body,
        *,
        is_enough: Callable[[Body], bool] = lambda _: False,
    ) -> Mapping[str, Body]:
        """What the other workers answer in time, or until one says what is enough."""
        if not others:
            return {}
        number = await anyio.to_thread.run_sync(self._questions.ask, kind, subject)
        try:
            return await self._replies(number, others, is_enough=is_enough)
        finally:
            # If the database is gone just now, whoever asks after this worker's end deletes it.
            with anyio.CancelScope(shield=True), suppress(StorageUnavailable):
                await anyio.to_thread.run_sync(self._questions.withdraw, number)

    async def _replies(
        self, number: int, others: Workers, *, is_enough: Callable[[Body], bool]
    ) -> Mapping[str, Body]:
        deadline = anyio.current_time() + self._patience
        while True:
            beat = self._pulse.next()
            said = await anyio.to_thread.run_sync(self._questions.replies, number)
            bodies = {worker: body for worker, body in said.items() if worker in others}
            left = deadline - anyio.current_time()
            if len(bodies) == len(others) or any(map(is_enough, bodies.values())) or left <= 0:
                return bodies
            await beat.wait(left)

    async def _others(self) -> Workers:
        if not self._database.is_shared:
            return {}
        living = await anyio.to_thread.run_sync(self._members.live)
        return {one: worker for one, worker in living.items() if one != self._me.id}

    async def _silent(self, others: Workers, bodies: Mapping[str, Body]) -> Sequence[Worker]:
        if len(bodies) == len(others):
            return []
        living = await self._others()  # who has left meanwhile has no runs any more
        return [worker for one, worker in others.items() if one in living and one not in bodies]

    async def _answer_others(self) -> None:
        # Of its own, so that neither deploys nor what waits for the disk keeps the others waiting.
        limiter = anyio.CapacityLimiter(1)
        while True:
            beat = self._pulse.next()
            with suppress(StorageUnavailable):  # which is logged; the next beat tries again
                asked = await anyio.to_thread.run_sync(self._questions.of_others, limiter=limiter)
                self._answered &= {question.id for question in asked}
                for question in asked:
                    if question.id not in self._answered:
                        await self._answer(question, limiter)
            await beat.wait(BEAT_SECONDS)

    async def _answer(self, question: Question, limiter: anyio.CapacityLimiter) -> None:
        body = self._answer_to(question)
        await anyio.to_thread.run_sync(self._questions.reply, question.id, body, limiter=limiter)
        self._answered |= {question.id}

    def _answer_to(self, question: Question) -> Body:
        subject = question.subject
        if question.kind == "cancel":
            return {"cancelled": self._runs.cancel(subject["id"], **_how(subject))}
        return {"runs": [one.as_fields() for one in self._own(subject)]}


def _how(subject: Body) -> dict[str, Any]:
    return {"reason": subject["reason"], "owner": subject.get("owner")}


def _cancelled(body: Body) -> bool:
    return body["cancelled"] is True
