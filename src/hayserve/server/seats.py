"""The places that workers have, and how long a parent waits for what."""

from dataclasses import dataclass

from hayserve.server.role import Role
from hayserve.server.worker_process import WorkerProcess


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a parent waits, in seconds.

    Args:
        silence: For a sign of a worker whose event loop turns.
        start: For its first sign; importing takes a while on a busy machine.
        ready: For a worker that is to take another's place.
        stop: For one that was told to stop, with the time that its runs have.
        dump: Between a hung worker's stack and its end.
        short_life: Who dies sooner is replaced after a pause.
        first_pause: The first of these; each one more is twice as long.
        longest_pause: The longest.
    """

    silence: float
    start: float
    ready: float
    stop: float
    dump: float = 1.0
    short_life: float = 5.0
    first_pause: float = 0.5
    longest_pause: float = 10.0

    def is_over(self, worker: WorkerProcess, *, now: float) -> bool:
        """Whether it should have stopped, or said something, before this."""
        if worker.stops_by is not None:
            return now > worker.stops_by
        return now - worker.heard_at > (self.silence if worker.has_spoken else self.start)


@dataclass(slots=True, eq=False)
class Seat:
    """The place of one worker after the other.

    Args:
        number: From 1; who has the first declares and watches.
        worker: Who has it now.
        fills_at: When the next worker is due, if there is none.
        pause: How long the last one was waited for.
        has_served: Whether any worker here has become ready.
    """

    number: int
    worker: WorkerProcess | None = None
    fills_at: float = 0.0
    pause: float = 0.0
    has_served: bool = False

    def role(self) -> Role:
        is_first = self.number == 1
        return Role(self.number, declares=is_first and not self.has_served, watches=is_first)

    def lose(self, worker: WorkerProcess, *, now: float, patience: Patience) -> None:
        """It died: when the next one comes depends on how long this one lived."""
        self.worker = None
        if now - worker.started_at >= patience.short_life:
            self.pause = 0.0
        else:
            self.pause = min(self.pause * 2 or patience.first_pause, patience.longest_pause)
        self.fills_at = now + self.pause
