"""Decides which runs may begin, which wait for their turn, and which are turned away.

Everything here belongs on the event loop.
"""

import math
from collections.abc import Iterable

from hayserve.errors import TooBusy
from hayserve.runs.run import Run

_LONGEST_RETRY_SECONDS = 60
_WEIGHT_OF_THE_LAST = 0.1


class Admission:
    """Counts the runs that are under way, and keeps those that wait in the order they came.

    Args:
        max_runs: How many runs may be under way at once.
        max_waiting: How many may wait.
        threads: How many of those under way may need a thread.
    """

    def __init__(self, *, max_runs: int, max_waiting: int, threads: int) -> None:
        self._max_runs = max_runs
        self._max_waiting = max_waiting
        self._max_in_threads = threads
        self._in_threads = 0
        self._running: dict[str, int] = {}  # by deployment; none is 0
        self._under_way = 0
        self._waiting: dict[Run, None] = {}  # in the order they came
        self._usual_seconds = 1.0

    def enter(self, run: Run) -> bool:
        """Ask for `run` to be begun.

        Returns:
            Whether it may begin now; else it waits, and `leave` will give it when it may.

        Raises:
            TooBusy: As many wait as may.
        """
        if self._may_begin(run):
            self._begin(run)
            return True
        self._check_line(run)
        self._waiting[run] = None
        return False

    def is_waiting(self, run: Run) -> bool:
        return run in self._waiting

    def give_up(self, run: Run) -> None:
        """Let a run that waits, wait no longer."""
        del self._waiting[run]

    def leave(self, run: Run, *, seconds: float) -> Iterable[Run]:
        """Count a run no longer that has ended after `seconds`; gives those that begin now."""
        self._under_way -= 1
        others = self._running.pop(run.deployment) - 1
        if others:
            self._running[run.deployment] = others
        self._in_threads -= not run.method.is_async
        self._usual_seconds += (seconds - self._usual_seconds) * _WEIGHT_OF_THE_LAST
        return self._next() if self._waiting else ()

    def _next(self) -> list[Run]:
        begun: list[Run] = []
        for run in list(self._waiting):
            if self._under_way >= self._max_runs:
                break
            if self._may_begin(run):
                del self._waiting[run]
                self._begin(run)
                begun.append(run)
        return begun

    def _may_begin(self, run: Run) -> bool:
        if self._under_way >= self._max_runs:
            return False
        if not run.method.is_async and self._in_threads >= self._max_in_threads:
            return False
        most = run.limits.max_runs
        return most is None or self._running.get(run.deployment, 0) < most

    def _begin(self, run: Run) -> None:
        self._under_way += 1
        self._running[run.deployment] = self._running.get(run.deployment, 0) + 1
        self._in_threads += not run.method.is_async

    def _check_line(self, run: Run) -> None:
        ahead = [one for one in self._waiting if one.deployment == run.deployment]
        most = run.limits.max_waiting
        if most is not None and len(ahead) >= most:
            self._refuse(f"{run.deployment!r} has as many runs as it takes", len(ahead))
        if len(self._waiting) >= self._max_waiting:
            self._refuse("The server has as many runs as it takes", len(self._waiting))

    def _refuse(self, why: str, waiting: int) -> None:
        turns = 1 + waiting / max(1, self._under_way)
        seconds = math.ceil(self._usual_seconds * turns)
        raise TooBusy(
            f"{why}: {self._under_way} under way, {waiting} waiting.",
            hint="Send the request again later, as `Retry-After` says.",
            retry_after=max(1, min(_LONGEST_RETRY_SECONDS, seconds)),
        )
