"""Follows the database: brings what this process serves to what it says should be served."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeAlias

import anyio
import anyio.abc
import anyio.to_thread

from hayserve.deployments.change import Active, Answer, Change, Snapshot, Stage
from hayserve.deployments.deployment import Deployment, FailedDeployment
from hayserve.deployments.ledger import Ledger
from hayserve.deployments.loads import Load, LoadLimits
from hayserve.deployments.members import BEAT_SECONDS, Members
from hayserve.deployments.pulse import Pulse
from hayserve.deployments.registry import Registry
from hayserve.deployments.revision import Revision
from hayserve.deployments.source import Source
from hayserve.errors import HayserveError, as_fields, from_fields

logger = logging.getLogger("hayserve.deployments")

Key: TypeAlias = tuple[str, int]
Retire: TypeAlias = Callable[[Deployment], Awaitable[None]]

# While many load, one look has to do for all that were loaded in a moment.
_PAUSE_SECONDS = 0.05
# What should be served and could not be loaded is tried again: its cause may be gone.
RETRY_SECONDS = 30.0
# A change holds requests back for milliseconds; one that does so for longer is given up.
HELD_TOO_LONG_SECONDS = 6.0
_OPEN_SECONDS = 0.2  # how often a change under way is looked at, also if nothing seems to happen


class Follower:
    """Loads what should be served, swaps it in, and gives back what it replaces.

    Only this changes the registry. What it has come to with a change that is under way it answers
    in the ledger, for the worker that leads the change.

    Args:
        registry: What this process serves.
        ledger: What it should serve.
        members: The list of workers, with this one on it.
        source: Where code is found.
        pulse: Says when to look again.
        retire: Closes what is not served any more, when its last run has ended.
        limits: How loading is limited.
        leads: Whether this worker leads a change of a name at the moment.
    """

    def __init__(  # noqa: PLR0913 - it connects them
        self,
        registry: Registry,
        *,
        ledger: Ledger,
        members: Members,
        source: Source,
        pulse: Pulse,
        retire: Retire,
        limits: LoadLimits,
        leads: Callable[[str], bool],
    ) -> None:
        self._registry = registry
        self._ledger = ledger
        self._members = members
        self._source = source
        self._pulse = pulse
        self._retire = retire
        self._limits = limits
        self._leads = leads
        self._limiter = anyio.Semaphore(limits.at_once)
        self._loads: dict[Key, Load] = {}
        self._to_move: list[Load] = []
        self._answered: dict[int, str] = {}
        self._reported: Mapping[str, str] = {}
        self._failed: Mapping[str, str] = {}
        self._tasks: anyio.abc.TaskGroup | None = None
        self._expected: Mapping[str, tuple[str, ...]] = {}
        self._has_begun = False
        self._held_since: Mapping[int, float] = {}
        self._step_begun = 0
        self._settled_at = 0
        self._stepped = asyncio.Event()

    def expect(self, names: Mapping[str, tuple[str, ...]]) -> None:
        """Wait with what the server is started with until it is decided what becomes of it.

        Args:
            names: Own names, and with each all names that it is to have.
        """
        self._expected = names

    async def settled(self) -> None:
        """Return when all that should be served by now is loaded, or has failed."""
        enough = self._step_begun + 1
        self._pulse.beat()
        while self._settled_at < enough:
            await self._stepped.wait()

    async def begun(self) -> None:
        """Return when the worker that leads the start has ended it, and all is loaded here too."""
        await self.settled()
        while not self._has_begun:
            await self._stepped.wait()
        await self.settled()

    def move(self, name: str) -> None:
        """Load what is served as `name` again, on an event loop of its own, and serve that instead.

        Called on the event loop. What a program made cannot be loaded again, and stays.
        """
        served = self._registry.find(name)
        if served is None or served.loop is not None or not served.owns:
            return
        one = self._loads[served.name, served.number]
        if not one.was_moved:
            one.was_moved = True
            self._to_move.append(one)
            self._pulse.beat()

    async def run(self, *, task_status: anyio.abc.TaskStatus[None]) -> None:
        """Follow until cancelled; started when it is known what is to be loaded."""
        async with anyio.create_task_group() as tasks:
            self._tasks = tasks
            tasks.start_soon(self._give_signs)
            beat = self._pulse.next()
            busy = await self._step()
            task_status.started()
            while True:
                await beat.wait(_OPEN_SECONDS if busy else BEAT_SECONDS)
                if self._registry.loading and not busy:
                    await anyio.sleep(_PAUSE_SECONDS)
                beat = self._pulse.next()
                busy = await self._try_step()

    async def close(self) -> None:
        """Give back all that is loaded; nothing is served afterwards."""
        loads, self._loads = self._loads, {}
        for name in [deployment.name for deployment in self._registry.deployments()]:
            self._registry.remove(name)
        async with anyio.create_task_group() as tasks:
            for one in loads.values():
                tasks.start_soon(self._give_back, one)

    async def _try_step(self) -> bool:
        try:
            return await self._step()
        except HayserveError as error:
            # What is served goes on; the next beat tries again.
            logger.error("cannot_follow", extra={"why": str(error)})  # noqa: TRY400 - said in full
            return True

    async def _step(self) -> bool:
        """Look once and do what is to be done; whether a change is under way."""
        self._step_begun += 1
        number = self._step_begun
        snapshot = await anyio.to_thread.run_sync(self._ledger.snapshot, self._members.node)
        # First, so that nobody loads what its coordinator may have ended of.
        if await self._end_left_behind(snapshot.open_changes):
            snapshot = await anyio.to_thread.run_sync(self._ledger.snapshot, self._members.node)
        self._has_begun = snapshot.declared.get("") == self._members.run
        self._expected = self._still_expected(snapshot.declared)
        wanted = self._wanted(snapshot)
        self._load_what_is_missing(wanted)
        self._serve(snapshot)
        self._drop_what_is_not(wanted)
        self._begin_moves()
        held = [change for change in snapshot.open_changes if change.stage == "holding"]
        self._note_held(held)
        self._registry.hold({name for change in held for name in self._names_of(change)})
        await self._answer(snapshot.open_changes)
        await self._report()
        if not self._registry.loading:
            self._settled_at = number
        self._stepped.set()
        self._stepped = asyncio.Event()
        return bool(snapshot.open_changes)

    def _note_held(self, held: Sequence[Change]) -> None:
        now = anyio.current_time()
        self._held_since = {one.id: self._held_since.get(one.id, now) for one in held}

    def _still_expected(self, declared: Mapping[str, str]) -> Mapping[str, tuple[str, ...]]:
        if self._has_begun:
            return {}
        return {
            own: names
            for own, names in self._expected.items()
            if declared.get(own) != self._members.run
        }

    def _wanted(self, snapshot: Snapshot) -> Mapping[Key, Revision]:
        """What should be served, and what is about to be."""
        wanted = {_key(one.revision): one.revision for one in self._active(snapshot)}
        for change in snapshot.open_changes:
            if change.revision is not None:
                wanted[_key(change.revision)] = change.revision
        return wanted

    def _load_what_is_missing(self, wanted: Mapping[Key, Revision]) -> None:
        for key, revision in wanted.items():
            if key not in self._loads or self._loads[key].is_to_be_tried_again(RETRY_SECONDS):
                self._begin_load(key, revision)

    def _drop_what_is_not(self, wanted: Collection[Key]) -> None:
        served = {(one.name, one.number) for one in self._registry.deployments()}
        for key in [key for key in self._loads if key not in wanted and key not in served]:
            self._drop(self._loads.pop(key))

    def _serve(self, snapshot: Snapshot) -> None:
        active = self._active(snapshot)
        failures = {
            one.name: FailedDeployment(one.name, from_fields(one.error), one.origin)
            for one in snapshot.failures
        }
        own_failures: dict[str, str] = {}
        loading = {name for names in self._expected.values() for name in names}
        for one in active:
            result = self._loads[_key(one.revision)].known
            if isinstance(result, Deployment):
                self._put(result, one)
                continue
            self._take_out(one.name)
            if result is None:
                loading |= {*one.names}
            else:
                failures[one.name] = FailedDeployment(one.name, result, one.revision.origin)
                own_failures[one.name] = result.message
        names = {one.name for one in snapshot.active}
        for deployment in self._registry.deployments():
            if deployment.name not in names:
                self._take_out(deployment.name)
        self._registry.loading = frozenset(loading)
        self._registry.fail(list(failures.values()))
        self._registry.arrange([one.name for one in active])
        self._failed = own_failures

    def _active(self, snapshot: Snapshot) -> list[Active]:
        return [one for one in snapshot.active if one.name not in self._expected]

    def _put(self, loaded: Deployment, active: Active) -> None:
        served = self._registry.find(active.name)
        is_served = served is not None and served.uses is loaded.uses
        if is_served and served is not None and served.aliases == active.aliases:
            return
        self._registry.put(replace(loaded, aliases=active.aliases))
        logger.info(
            "serving", extra={"deployment": active.name, "revision": active.revision.number}
        )

    def _take_out(self, name: str) -> None:
        if self._registry.remove(name) is not None:
            logger.info("no_longer_serving", extra={"deployment": name})

    def _begin_load(self, key: Key, revision: Revision) -> None:
        failed = self._loads.get(key)
        self._loads[key] = one = Load(revision)
        if failed is not None:
            one.before = failed.failure
            self._drop(failed)
        assert self._tasks is not None
        self._tasks.start_soon(self._load, one)

    async def _load(self, one: Load) -> None:
        async with self._limiter:
            with one.scope:
                await one.carry_out(self._source, seconds=self._limits.seconds)
        if one.scope.cancelled_caught or one.scope.cancel_called:
            await self._throw_away(one)
        self._pulse.beat()

    def _begin_moves(self) -> None:
        while self._to_move:
            assert self._tasks is not None
            self._tasks.start_soon(self._move, self._to_move.pop())

    async def _move(self, before: Load) -> None:
        key, one = _key(before.revision), Load(before.revision, apart=True)
        await self._load(one)
        served = self._registry.find(key[0])
        is_served = served is not None and (served.name, served.number) == key
        if is_served and served is not None and isinstance(one.result, Deployment):
            one.result = replace(one.result, blocked=served.blocked)
            self._registry.put(replace(one.result, aliases=served.aliases))
            self._loads[key], one = one, before
            logger.info("moved_to_own_loop", extra={"deployment": served.name})
        self._drop(one)

    def _drop(self, one: Load) -> None:
        one.scope.cancel()
        assert self._tasks is not None
        if one.result is not None:
            self._tasks.start_soon(self._throw_away, one)

    async def _throw_away(self, one: Load) -> None:
        """Give back what is not wanted any more, and its files if nobody else uses them."""
        await self._give_back(one)
        name, content = one.revision.name, one.revision.content
        if not content.is_stored:
            return
        try:
            await anyio.to_thread.run_sync(self._source.discard, name, content.digest)
        except OSError as error:
            logger.warning("files_stay", extra={"deployment": name, "why": str(error)})

    async def _give_back(self, one: Load) -> None:
        with one.files:
            if isinstance(one.result, Deployment):
                await self._retire(one.result)

    def _names_of(self, change: Change) -> set[str]:
        served = self._registry.find(change.name)
        return {*change.names, *(served.names if served is not None else ())}

    async def _answer(self, open_changes: Sequence[Change]) -> None:
        for change in open_changes:
            answer = self._answer_to(change)
            if answer is not None and self._answered.get(change.id) != answer.reached:
                await anyio.to_thread.run_sync(self._ledger.answer, change.id, answer)
                self._answered[change.id] = answer.reached
                self._pulse.beat()
        known = {change.id for change in open_changes}
        self._answered = {key: stage for key, stage in self._answered.items() if key in known}

    def _answer_to(self, change: Change) -> Answer | None:
        result: Deployment | HayserveError | None = None
        if change.revision is not None:
            result = self._loads[_key(change.revision)].result
            if result is None:
                return None
        if isinstance(result, HayserveError):
            return Answer(self._members.id, "failed", as_fields(result))
        match change.stage:
            case "loading":
                return Answer(self._members.id, "loaded")
            case "holding":
                return Answer(self._members.id, "held")
            case _:
                return Answer(self._members.id, "serving")

    async def _report(self) -> None:
        if self._reported != self._failed:
            failed = self._failed
            await anyio.to_thread.run_sync(self._members.report, failed)
            self._reported = failed

    async def _end_left_behind(self, open_changes: Sequence[Change]) -> bool:
        """End the changes that nobody leads any more: committed ones are done, others never were.

        Their coordinator is gone or stands still, or is this worker and could not end them itself.
        Says whether there were any.
        """
        left = await self._left_behind(open_changes)
        for change in left:
            stage: Stage = "done" if change.stage == "committed" else "aborted"
            reason = "the worker that led it ended"
            end = partial(self._ledger.end, change.id, stage=stage, reason=reason)
            await anyio.to_thread.run_sync(end)
            self._pulse.beat()
        return bool(left)

    async def _left_behind(self, open_changes: Sequence[Change]) -> list[Change]:
        others = [
            one
            for one in open_changes
            if one.coordinator != self._members.id or not self._leads(one.name)
        ]
        if not others:
            return []
        live = await anyio.to_thread.run_sync(self._members.live)
        live.pop(self._members.id, None)
        late = anyio.current_time() - HELD_TOO_LONG_SECONDS
        return [
            one
            for one in others
            if one.coordinator not in live or self._held_since.get(one.id, late) < late
        ]

    async def _give_signs(self) -> None:
        if not self._members.needs_signs:
            return
        while True:
            await anyio.sleep(BEAT_SECONDS)
            try:
                if not await anyio.to_thread.run_sync(self._members.beat):
                    self._reported = {}  # it is on the list as a new one
                    self._pulse.beat()
            except HayserveError as error:
                logger.warning("no_sign_of_life", extra={"why": str(error)})


def _key(revision: Revision) -> Key:
    return revision.name, revision.number
