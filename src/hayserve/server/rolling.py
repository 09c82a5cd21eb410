"""Replaces all workers one after the other, each only when the next one is ready."""

import logging
from collections import deque
from collections.abc import Callable, Collection, Sequence

from hayserve.server.seats import Patience, Seat
from hayserve.server.worker_process import WorkerProcess

logger = logging.getLogger("hayserve.server")

Hire = Callable[[Seat], WorkerProcess | None]


class Rolling:
    """One round after the other; those asked for while one is under way become one.

    Args:
        seats: All places.
        hire: Starts a worker for a place, if that is possible.
        patience: How long a new worker may take to be ready, and an old one to stop.
    """

    def __init__(self, seats: Sequence[Seat], hire: Hire, *, patience: Patience) -> None:
        self._seats = seats
        self._hire = hire
        self._patience = patience
        self._left: deque[Seat] = deque()
        self._is_asked_again = False
        self._seat: Seat | None = None
        self._fresh: WorkerProcess | None = None
        self._old: WorkerProcess | None = None
        self._ready_by = 0.0

    def ask(self) -> None:
        """Begin a round, now or after the one that is under way."""
        if self._left or self._seat:
            self._is_asked_again = True
            return
        logger.info("rolling_restart", extra={"workers": len(self._seats)})
        self._left.extend(self._seats)

    def fills(self, seat: Seat) -> bool:
        """Whether a new worker for this place is on its way."""
        return self._seat is seat

    def go_on(self, living: Collection[WorkerProcess], *, now: float) -> None:
        """Take the next step if it is time."""
        seat, fresh = self._seat, self._fresh
        if seat is None or fresh is None:
            if self._left:
                self._begin(self._left.popleft(), now=now)
        elif seat.worker is fresh or self._old is not None:
            if self._old not in living:
                self._end_step()
        elif fresh not in living:
            self._give_up("it died")
        elif fresh.is_ready:
            self._swap(seat, fresh, now=now)
        elif now > self._ready_by:
            fresh.stop(by=now + self._patience.dump)
            self._give_up("it was not ready in time")

    def _begin(self, seat: Seat, *, now: float) -> None:
        if seat.worker is None:  # who comes next here is new anyway
            self._end_step()
            return
        self._seat, self._fresh = seat, self._hire(seat)
        self._ready_by = now + self._patience.ready
        if self._fresh is None:
            self._give_up("it could not be started")

    def _swap(self, seat: Seat, fresh: WorkerProcess, *, now: float) -> None:
        self._old, seat.worker = seat.worker, fresh
        if self._old is not None:
            self._old.stop(by=now + self._patience.stop)

    def _end_step(self) -> None:
        self._seat = self._fresh = self._old = None
        if self._left:
            return
        logger.info("rolling_restart_done", extra={"workers": len(self._seats)})
        if self._is_asked_again:
            self._is_asked_again = False
            self.ask()

    def _give_up(self, why: str) -> None:
        """Those that are not replaced yet stay: better old than none."""
        number = self._seat.number if self._seat else 0
        logger.error("rolling_restart_failed", extra={"worker": number, "because": why})
        self._left.clear()
        self._is_asked_again = False
        self._seat = self._fresh = self._old = None
