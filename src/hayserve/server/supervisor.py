"""The parent of workers: starts them, watches them, replaces the dead and the hung."""

import logging
import select
import signal
import time
from collections.abc import Callable
from typing import Protocol

from hayserve.errors import Misconfigured
from hayserve.server.role import Role
from hayserve.server.rolling import Rolling
from hayserve.server.seats import Patience, Seat
from hayserve.server.worker_process import WorkerProcess

logger = logging.getLogger("hayserve.server")

TICK_SECONDS = 0.25
# When the parent itself was away for longer, it could hear nobody, and maybe all were suspended.
AWAY_SECONDS = 1.0


class Source(Protocol):
    """Where signals come from."""

    def fileno(self) -> int: ...

    def take(self) -> list[int]: ...


class Supervisor:
    """Keeps a number of workers at work until it is told to stop; at once if it is told twice.

    Args:
        hire: Starts a worker.
        seats: How many workers there are.
        signals: Where SIGTERM and SIGINT, SIGHUP and SIGCHLD come from.
        patience: How long things may take.
        when_ready: Called once, when all workers are ready, with what the first one says.
        when_stopping: Called when the end begins.
    """

    def __init__(
        self,
        hire: Callable[[Role], WorkerProcess],
        *,
        seats: int,
        signals: Source,
        patience: Patience,
        when_ready: Callable[[str], None] = lambda _: None,
        when_stopping: Callable[[], None] = lambda: None,
    ) -> None:
        self._hire = hire
        self._seats = [Seat(number) for number in range(1, seats + 1)]
        self._signals = signals
        self._patience = patience
        self._when_ready = when_ready
        self._when_stopping = when_stopping
        self._rolling = Rolling(self._seats, self._start_one, patience=patience)
        self._living: list[WorkerProcess] = []
        self._looked_at = 0.0
        self._has_welcomed = False
        self._is_stopping = False
        self._refusal: Misconfigured | None = None

    def run(self) -> None:
        """Work until stopped.

        Raises:
            Misconfigured: A worker cannot start, and so no other one could.
        """
        self._looked_at = time.monotonic()
        try:
            while self._living or not self._is_stopping:
                self._turn()
        finally:
            for worker in self._living:
                worker.kill()
                worker.bury()
        if self._refusal:
            raise self._refusal

    def _turn(self) -> None:
        now = time.monotonic()
        for seat in self._seats if not self._is_stopping else []:
            self._fill(seat, now=now)
        self._wait_and_hear()
        now = time.monotonic()
        for number in self._signals.take():
            self._obey(number, now=now)
        for worker in list(self._living):
            self._look_at(worker, now=now)
        if not self._is_stopping:
            self._rolling.go_on(self._living, now=now)
            self._welcome()

    def _fill(self, seat: Seat, *, now: float) -> None:
        if seat.worker is None and now >= seat.fills_at and not self._rolling.fills(seat):
            seat.worker = self._start_one(seat)
            seat.fills_at = now + self._patience.longest_pause

    def _start_one(self, seat: Seat) -> WorkerProcess | None:
        try:
            worker = self._hire(seat.role())
        except OSError:
            logger.exception("worker_not_started", extra={"worker": seat.number})
            return None
        self._living.append(worker)
        logger.info("worker_started", extra=_known(worker))
        return worker

    def _wait_and_hear(self) -> None:
        speaking = [worker for worker in self._living if not worker.is_mute]
        sources: list[Source | WorkerProcess] = [self._signals, *speaking]
        select.select(sources, [], [], TICK_SECONDS)
        now = time.monotonic()
        away, self._looked_at = now - self._looked_at - TICK_SECONDS, now
        for worker in self._living:
            if away > AWAY_SECONDS:
                worker.shift(away)
            self._hear(worker, now=now)

    def _hear(self, worker: WorkerProcess, *, now: float) -> None:
        was_ready = worker.is_ready
        worker.hear(now)
        if worker.is_ready and not was_ready:
            logger.info("worker_ready", extra=_known(worker))
            self._seats[worker.role.number - 1].has_served = True

    def _obey(self, number: int, *, now: float) -> None:
        match number:
            case signal.SIGHUP:
                self._rolling.ask()
            case signal.SIGCHLD:
                pass
            case _ if self._is_stopping:
                for worker in self._living:
                    worker.stop(by=now)
                    worker.dies_at = now + self._patience.dump
            case _:
                logger.info("stopping", extra={"workers": len(self._living)})
                self._stop(now)

    def _stop(self, now: float) -> None:
        self._is_stopping = True
        self._when_stopping()
        for worker in self._living:
            worker.stop(by=now + self._patience.stop)

    def _look_at(self, worker: WorkerProcess, *, now: float) -> None:
        ending = worker.ending()
        if ending is not None:
            self._hear(worker, now=now)
            self._living.remove(worker)
            worker.bury()
            self._lose(worker, ending, now=now)
        elif worker.dies_at is not None:
            if now >= worker.dies_at:
                worker.kill()
        elif self._patience.is_over(worker, now=now):
            silent = round(now - worker.heard_at, 1)
            logger.error("worker_hung", extra={**_known(worker), "silent_for": silent})
            worker.dump(dies_at=now + self._patience.dump)

    def _lose(self, worker: WorkerProcess, ending: str, *, now: float) -> None:
        seat = self._seats[worker.role.number - 1]
        if worker.stops_by is not None:
            logger.info("worker_stopped", extra={**_known(worker), "with": ending})
        elif not seat.has_served and (refusal := _refusal_of(worker, ending)):
            self._refusal = self._refusal or refusal
            self._stop(now)
        else:
            why = {"because": worker.refusal.message} if worker.refusal else {}
            logger.error("worker_died", extra={**_known(worker), "with": ending, **why})
        if seat.worker is worker:
            seat.lose(worker, now=now, patience=self._patience)

    def _welcome(self) -> None:
        workers = [seat.worker for seat in self._seats]
        said = [worker.welcome for worker in workers if worker and worker.welcome is not None]
        if len(said) == len(workers) and not self._has_welcomed:
            self._has_welcomed = True
            self._when_ready(said[0])


def _refusal_of(worker: WorkerProcess, ending: str) -> Misconfigured | None:
    """Why it is of no use to start another worker in its place."""
    if worker.refusal:
        return worker.refusal.error()
    if worker.has_spoken or not ending.startswith("exit code"):
        return None
    return Misconfigured(
        f"Worker {worker.role.number} ended with {ending} before it could serve.",
        hint="What it wrote before that says why.",
    )


def _known(worker: WorkerProcess) -> dict[str, object]:
    return {"worker": worker.role.number, "pid": worker.pid}
