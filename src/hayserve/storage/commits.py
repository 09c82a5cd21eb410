"""Counts what this process has committed, and wakes the threads that wait for more."""

from threading import Condition


class Commits:
    """The number of transactions that were committed through one `Database`."""

    def __init__(self) -> None:
        self._changed = Condition()
        self.number = 0

    def add(self) -> None:
        """One more; also to let the waiting threads look again, though nothing was committed."""
        with self._changed:
            self.number += 1
            self._changed.notify_all()

    def wait(self, seconds: float, *, past: int) -> None:
        """Wait until there are more than `past`, or the time is over."""
        with self._changed:
            self._changed.wait_for(lambda: self.number > past, seconds)
