"""Threads for code that is not async: as many as there are calls, and few awake at a time.

A thread that is woken has to wait for Python's lock, and most calls end before it has it. So at
most one thread is on its way at any moment. The one that takes a call wakes the next if more calls
wait; if the call is short, it takes those itself before the other is there.
"""

import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress

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
        """Have `call` called in a thread.

        Raises:
            RuntimeError: It needs one more thread than the system gives.
        """
        with self._lock:
            self._calls.append(call)
            if self._one_is_coming:
                return
            self._one_is_coming = True
            bed = self._idle.pop() if self._idle else None
        try:
            self._wake(bed)
        except RuntimeError:
            with self._lock:
                if call not in self._calls:
                    return  # a thread that had something else to do has it
                self._calls.remove(call)
            raise

    def close(self) -> None:
        """Let the threads end as soon as there is nothing left to do."""
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
                self._idle.append(bed)
                return None
            call = self._calls.popleft()
            if not self._calls or self._one_is_coming:
                return call
            self._one_is_coming = True
            other = self._idle.pop() if self._idle else None
        with suppress(RuntimeError):  # then this thread makes all calls that wait
            self._wake(other)
        return call

    def _slept(self, bed: threading.Lock) -> bool:
        """Sleep until there is a call; False if it is time to end."""
        if bed.acquire(timeout=0 if self._is_closed else IDLE_SECONDS):
            return True
        with self._lock:
            if bed in self._idle:
                self._idle.remove(bed)
                return False
        bed.acquire()  # it was woken in this moment
        return True

    def _wake(self, bed: "threading.Lock | None") -> None:
        """Have one more thread look for calls."""
        if bed is not None:
            bed.release()
            return
        try:
            threading.Thread(target=self._work, name="hayserve run").start()
        except RuntimeError:  # there are as many as the system allows
            with self._lock:
                self._one_is_coming = False
            raise
