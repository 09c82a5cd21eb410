"""Counts what this process has committed, and wakes the threads that wait for more."""

from threading import Condition


class Commits:
    """The number of transactions that were committed through one `Database`."""

    def __init__(self) -> None:
        self._changed = Condition()
        self.number = 0

    def add(self) -> None:
        with self._changed:
            self.number += 1
            self._changed.notify_all()

    def wake(self) -> None:
        """Let the waiting threads look again, though nothing was committed."""
        with self._changed:
            self._changed.notify_all()

    def wait(self, seconds: float, *, past: int) -> None:
        """Wait until there are more than `past`, or somebody wakes, or the time is over."""
        with self._changed:
            if self.number <= past:
                self._changed.wait(seconds)
