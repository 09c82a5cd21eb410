"""Signals, as something that can be waited for, and what a hangup means."""

import os
import signal
import socket
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from types import FrameType
from typing import Self

# Every process that was started from a terminal gets these from it; Windows has no hangup.
FROM_TERMINAL = tuple(one for one in signal.Signals if one.name in {"SIGINT", "SIGHUP"})

Handler = Callable[[int, FrameType | None], None]

_ROOM = 4096  # far more signals than arrive before they are taken


class Signals:
    """Collects signals for as long as a block lasts; `select` can wait for them.

    Args:
        numbers: Which ones; they do nothing else meanwhile.
        terminal: The one this process was started from; when it is gone, a hangup means the end.
    """

    def __init__(self, numbers: Sequence[int], *, terminal: "Terminal | None" = None) -> None:
        self._numbers = frozenset(numbers)
        self._terminal = terminal or Terminal()
        self._undo = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            self._received, sender = socket.socketpair()
            for end in (self._received, sender):
                undo.enter_context(end)
                end.settimeout(0)
            undo.callback(signal.set_wakeup_fd, signal.set_wakeup_fd(sender.fileno()))
            for number in self._numbers:
                undo.callback(signal.signal, number, signal.signal(number, unheeded))
            self._undo = undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()

    def fileno(self) -> int:
        return self._received.fileno()

    def take(self) -> list[int]:
        """Those that came since the last time."""
        with suppress(BlockingIOError):
            received = self._received.recv(_ROOM)
            return [self._meaning(number) for number in received if number in self._numbers]
        return []

    def _meaning(self, number: int) -> int:
        return signal.SIGTERM if number == signal.SIGHUP and self._terminal.is_gone else number


def unheeded(_: int, __: FrameType | None) -> None:
    """A handler that does nothing. An ignored signal would be ignored in child processes, too."""


@contextmanager
def on_hangup(do: Handler) -> Generator[None]:
    """Do this on a hangup, where there is one and this thread may say so."""
    is_main = threading.current_thread() is threading.main_thread()
    numbers = [number for number in signal.Signals if number.name == "SIGHUP" and is_main]
    before = [signal.signal(number, do) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def has_terminal() -> bool:
    """Whether a terminal controls this process."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except (OSError, AttributeError):  # Windows has neither the file nor the flag
        return False
    return True


class Terminal:
    """The terminal that a server was started from, if it was.

    A hangup asks a server to restart its workers. It comes as well when a terminal is closed, and
    then it asks whoever was started there to end, unless by `nohup`.
    """

    def __init__(self, exists: Callable[[], bool] = has_terminal) -> None:
        self._exists = exists
        self._is_followed = exists() and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN

    @property
    def is_gone(self) -> bool:
        return self._is_followed and not self._exists()
