"""A worker, as its parent sees it: a process that is started, listened to, stopped and killed."""

import signal
import socket
import subprocess
import sys
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import assert_never

from hayserve.server.orders import Alive, Orders, Ready, Refused, decode
from hayserve.server.signals import FROM_TERMINAL

# No module in the folder where the server is started is taken for another of the same name.
COMMAND = (sys.executable, "-P", "-m", "hayserve.server.worker")
_ROOM = 65536


class WorkerProcess:
    """One worker from its start to its end.

    Args:
        orders: What it is told.
        now: The time, as of `time.monotonic()`.
        command: What is started; the number of its control socket is added.

    Raises:
        OSError: The system starts no more processes.
    """

    def __init__(self, orders: Orders, *, now: float, command: Sequence[str] = COMMAND) -> None:
        self.role = orders.role
        self.started_at = self.heard_at = now
        self.has_spoken = False
        self.welcome: str | None = None
        self.refusal: Refused | None = None
        self.stops_by: float | None = None
        self.dies_at: float | None = None
        self.is_mute = False
        self._said = b""
        with ExitStack() as unless_started:
            self._control, theirs = socket.socketpair()
            unless_started.callback(self._control.close)
            with theirs, _held_back():
                self._process = subprocess.Popen(  # noqa: S603 - our own module
                    [*command, str(theirs.fileno())],
                    stdin=subprocess.DEVNULL,
                    pass_fds=(theirs.fileno(), *orders.sockets),
                )
            unless_started.pop_all()
        with suppress(OSError):  # it is dead already, which is noticed soon
            self._control.sendall(orders.encode())
        self._control.settimeout(0)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_ready(self) -> bool:
        return self.welcome is not None

    def fileno(self) -> int:
        return self._control.fileno()

    def hear(self, now: float) -> None:
        """Take in what it said since the last time."""
        with suppress(BlockingIOError, ConnectionError):
            while data := self._control.recv(_ROOM):
                self._said += data
            self.is_mute = True
        *lines, self._said = self._said.split(b"\n")
        for line in lines:
            self.heard_at, self.has_spoken = now, True
            match sign := decode(line):
                case Ready(welcome):
                    self.welcome = welcome
                case Refused() as refusal:
                    self.refusal = refusal
                case Alive():
                    pass
                case _:
                    assert_never(sign)

    def ending(self) -> str | None:
        """How it ended, such as "exit code 1" or "SIGKILL"; None while it lives."""
        code = self._process.poll()
        if code is None:
            return None
        return f"exit code {code}" if code >= 0 else signal.Signals(-code).name

    def stop(self, *, by: float) -> None:
        """Ask it to stop, before a time."""
        self.stops_by = by
        self._process.terminate()

    def dump(self, *, dies_at: float) -> None:
        """Have it write to the log where it is, before it is killed."""
        self.dies_at = dies_at
        self._process.send_signal(signal.SIGUSR1)

    def kill(self) -> None:
        self._process.kill()

    def bury(self) -> None:
        """Wait for its end and give back what it took."""
        self._process.wait()
        self._control.close()

    def shift(self, seconds: float) -> None:
        """Leave time out of account in which nobody could listen."""
        self.heard_at += seconds
        if self.stops_by is not None:
            self.stops_by += seconds


@contextmanager
def _held_back() -> Generator[None]:
    """What a terminal sends to all its processes waits until the worker has its handlers."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, FROM_TERMINAL)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
