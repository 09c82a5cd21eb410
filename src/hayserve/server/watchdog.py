"""Notices code that holds an event loop up, says where it stands, and has it moved."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from math import inf

from hayserve.deployments.deployment import Deployment
from hayserve.deployments.registry import Registry
from hayserve.runs.execute import Executor
from hayserve.server.loop_thread import Doing, doing, place_in, stack_of
from hayserve.wrappers.own_loop import computed_here

logger = logging.getLogger("hayserve.server")

_LOOKS_PER_BLOCK = 4
# What keeps even the watchdog from running computes, and keeps Python's lock meanwhile.
_LEAST_SHARE_OF_COMPUTING = 0.05


class Watchdog:
    """A thread that asks each event loop of this process for a sign, again and again.

    Where none comes for `seconds`, it logs where the loop's thread stands. If that is the loop of
    the server, it has the deployment whose code that is moved to an event loop of its own.

    Args:
        registry: What is served; its own loops are watched, too.
        executor: Knows whose runs are under way.
        seconds: How long a loop may give no sign.
        move: Called on the event loop with the name of a deployment that has held it up.
    """

    def __init__(
        self,
        registry: Registry,
        executor: Executor,
        *,
        seconds: float,
        move: Callable[[str], object],
    ) -> None:
        self._registry = registry
        self._executor = executor
        self._seconds = seconds
        self._move = move
        self._stop = threading.Event()

    @contextmanager
    def running(self) -> Generator[None]:
        """Watch the event loop that runs here for as long as the block lasts, and all own ones."""
        self._stop.clear()
        own = _Watched(asyncio.get_running_loop(), threading.get_ident(), computed_here())
        dog = threading.Thread(
            target=self._watch, args=(own,), name="hayserve watchdog", daemon=True
        )
        dog.start()
        try:
            yield
        finally:
            self._stop.set()
            dog.join()

    def _watch(self, first: "_Watched") -> None:
        apart: dict[int, _Watched] = {}
        pause = self._seconds / _LOOKS_PER_BLOCK
        before = time.monotonic()
        while not self._stop.wait(pause):
            now = time.monotonic()
            apart = self._apart(apart)
            for one in (first, *apart.values()):
                share = one.computed_since() / (now - before)
                if now - before > self._seconds:
                    self._explain_sleep(one, since=before, share=share)
                self._look(one)
            before = now

    def _explain_sleep(self, one: "_Watched", *, since: float, share: float) -> None:
        """Neither this thread nor perhaps the loop has run since then."""
        if share < _LEAST_SHARE_OF_COMPUTING:
            # The whole process stood still, or another thread's code kept Python's lock.
            one.forgive()
        elif one.has_answered:
            one.ask(self._seconds, since=since)

    def _apart(self, known: dict[int, "_Watched"]) -> dict[int, "_Watched"]:
        """The loops that deployments have of their own."""
        found: dict[int, _Watched] = {}
        for deployment in self._registry.deployments():
            if (own := deployment.loop) is not None:
                thread = own.thread.ident or 0
                found[thread] = known.get(thread) or _Watched(
                    own.loop, thread, own.computed, owner=deployment
                )
        return found

    def _look(self, one: "_Watched") -> None:
        if one.has_answered:
            self._take(one)
            one.ask(self._seconds, since=time.monotonic())
            return
        one.seen.add(doing(one.loop, one.thread))
        seconds = one.silent_for
        if seconds < one.tell_after:
            return
        one.tell_after = seconds * 2
        if one.told is None:
            one.told = self._whose(one)
            self._count(one, seconds, is_new=True)
            if one.owner is None and (name := one.told.get("deployment")):
                one.loop.call_soon_threadsafe(self._have_moved, name)
        _log_blocked(one, seconds)

    def _have_moved(self, name: str) -> None:
        """On the event loop, when it goes on."""
        if not self._stop.is_set():
            self._move(name)

    def _take(self, one: "_Watched") -> None:
        if one.told is not None:
            self._count(one, one.silent_for, is_new=False)
            logger.warning("event_loop_free", extra=one.fields(one.silent_for))

    def _whose(self, one: "_Watched") -> dict[str, str]:
        """The deployment and the run that hold the loop up, as far as that is sure."""
        # Where other code was seen each time, it is many that take long together, and no one.
        seen = next(iter(one.seen)) if len(one.seen) == 1 else Doing()
        run = self._executor.run_of(seen.run_id) if seen.run_id else None
        name = one.owner.name if one.owner else run.deployment if run else seen.deployment
        known = {"deployment": name, "run_id": seen.run_id}
        return {key: value for key, value in known.items() if value}

    def _count(self, one: "_Watched", seconds: float, *, is_new: bool) -> None:
        name = (one.told or {}).get("deployment", "")
        deployment = self._registry.find(name)
        if deployment is not None:
            deployment.blocked.note(seconds, is_new=is_new)


class _Watched:
    """A loop, and since when it owes an answer.

    Args:
        loop: The loop.
        thread: The thread that it runs in.
        computed: How long that has computed.
        owner: Whose own loop it is; None for the server's.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        thread: int,
        computed: Callable[[], float],
        *,
        owner: Deployment | None = None,
    ) -> None:
        self.loop = loop
        self.thread = thread
        self.owner = owner
        self.seen: set[Doing] = set()  # what it was seen doing since it was asked
        self.told: dict[str, str] | None = None  # whose fault it is, once that was logged
        self.tell_after = inf
        self.has_answered = True
        self._asked_at = self._answered_at = time.monotonic()
        self._computed = computed
        self._computed_before = computed()

    @property
    def silent_for(self) -> float:
        """How long it has not answered, or took to answer, in seconds."""
        end = self._answered_at if self.has_answered else time.monotonic()
        return end - self._asked_at

    def computed_since(self) -> float:
        """How long its thread has computed since the last call, in seconds."""
        try:
            now = self._computed()
        except OSError:  # it has ended
            now = self._computed_before
        seconds, self._computed_before = now - self._computed_before, now
        return seconds

    def ask(self, seconds: float, *, since: float) -> None:
        """Ask for a sign, which should come within so many seconds of that time."""
        self.seen, self.told, self.tell_after = set(), None, seconds
        self.has_answered, self._asked_at = False, since
        try:
            self.loop.call_soon_threadsafe(self._answer)
        except RuntimeError:  # it has ended
            self._answer()

    def fields(self, seconds: float) -> dict[str, object]:
        """What the log says of it."""
        own_loop = {"own_loop": True} if self.owner else {}
        return {**(self.told or {}), "seconds": round(seconds, 2), **own_loop}

    def forgive(self) -> None:
        """It could not answer until now, because nothing in this process could."""
        self._asked_at = time.monotonic()

    def _answer(self) -> None:
        self._answered_at, self.has_answered = time.monotonic(), True


def _log_blocked(one: _Watched, seconds: float) -> None:
    place = place_in(one.thread)
    fields = {**one.fields(seconds), **({"at": place} if place else {})}
    record = logger.makeRecord(
        logger.name,
        logging.WARNING,
        __file__,
        0,
        "event_loop_blocked",
        (),
        None,
        extra=fields,
        sinfo=stack_of(one.thread),  # so that it stands below the line, as a traceback does
    )
    if logger.isEnabledFor(record.levelno):
        logger.handle(record)
