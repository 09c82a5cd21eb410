"""Threads for code that is not async: as many as there are calls, and few awake at a time.

A thread that is woken has to wait for Python's lock, and most calls end before it has it. So at
most one thread is on its way at any moment. The one that takes a call wakes the next if more calls
wait; if the call is short, it takes those itself before the other is there.
"""

import threading
from collections import deque
from collections.abc import Callable

IDLE_SECONDS = 30.0

Call = Callable[[], None]


class Threads:
    """Runs calls, which must not raise, each in a thread at once; threads are kept for a while."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: deque[Call] = deque()
        self._idle: list[threading.Lock] = []  # held until its thread is to wake
        self._one_is_coming = False
        self._is_closed = False

    def submit(self, call: Call) -> None:
        """Have `call` called in a thread."""
        with self._lock:
            self._calls.append(call)
            if self._one_is_coming:
                return
            self._one_is_coming = True
            bed = self._idle.pop() if self._idle else None
        _wake(bed, self._work)

    def close(self) -> None:
        """Let the threads end that have nothing to do, and the others after their call."""
        with self._lock:
            self._is_closed = True
            idle, self._idle = self._idle, []
        for bed in idle:
            bed.release()

    def _work(self) -> None:
        bed = threading.Lock()
        bed.acquire()
        is_coming = True
        while (call := self._next(bed, is_coming=is_coming)) is not None or self._slept(bed):
            is_coming = call is None
            if call is not None:
                call()
            del call  # it holds all that the run held

    def _next(self, bed: threading.Lock, *, is_coming: bool) -> Call | None:
        """The next call; None if there is none, and then the thread has gone to `bed`."""
        with self._lock:
            if is_coming:
                self._one_is_coming = False
            if not self._calls:
                if not self._is_closed:
                    self._idle.append(bed)
                return None
            call = self._calls.popleft()
            if not self._calls or self._one_is_coming:
                return call
            self._one_is_coming = True
            other = self._idle.pop() if self._idle else None
        _wake(other, self._work)
        return call

    def _slept(self, bed: threading.Lock) -> bool:
        """Sleep until there is a call; False if it is time to end."""
        if self._is_closed:
            return False
        if bed.acquire(timeout=IDLE_SECONDS):
            return not self._is_closed
        with self._lock:
            if bed in self._idle:
                self._idle.remove(bed)
                return False
        bed.acquire()  # it was woken in this moment
        return True


def _wake(bed: "threading.Lock | None", work: Call) -> None:
    if bed is None:
        threading.Thread(target=work, name="hayserve run").start()
    else:
        bed.release()
