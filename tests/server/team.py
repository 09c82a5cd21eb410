"""Workers that do what a test says, under a real supervisor in a thread."""

import logging
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self

import pytest

from hayserve.server.orders import Orders
from hayserve.server.role import Role
from hayserve.server.seats import Patience
from hayserve.server.supervisor import Supervisor
from hayserve.server.worker_process import WorkerProcess
from hayserve.settings import Settings

_TOP = """
import faulthandler, json, signal, socket, sys, time

control = socket.socket(fileno=int(sys.argv[-1]))
control.makefile().readline()


def say(**sign):
    control.sendall(json.dumps(sign).encode() + b"\\n")


def live():
    control.settimeout(0.05)
    while True:
        try:
            if not control.recv(1):
                return
        except TimeoutError:
            say(**{"is": "alive"})

"""
GOOD = 'say(**{"is": "ready", "welcome": "Welcome."})\nlive()'
LOADING = "live()"
BROKEN = "sys.exit(3)"
DYING = 'say(**{"is": "alive"})\nsys.exit(3)'
REFUSING = 'say(**{"is": "refused", "message": "No.", "hint": "Try.", "param": "port"})'
MUTE = "time.sleep(60)"
SILENT_LATER = 'say(**{"is": "ready", "welcome": "Welcome."})\ntime.sleep(60)'
STUBBORN = f"signal.signal(signal.SIGTERM, signal.SIG_IGN)\n{GOOD}"

QUICK = Patience(
    silence=0.5,
    start=10,
    ready=10,
    stop=10,
    dump=0.05,
    short_life=0,
    first_pause=0.05,
    longest_pause=0.1,
)


def script(body: str) -> Sequence[str]:
    """The command of a worker that does this, quick to start."""
    return (sys.executable, "-I", "-S", "-c", _TOP + body)


class Told:
    """Signals that a test sends."""

    def __init__(self) -> None:
        self._receiver, self._sender = socket.socketpair()
        self._receiver.settimeout(0)
        self.before_taking: Callable[[], None] = lambda: None

    def fileno(self) -> int:
        return self._receiver.fileno()

    def take(self) -> list[int]:
        self.before_taking()
        with suppress(BlockingIOError):
            return list(self._receiver.recv(100))
        return []

    def tell(self, number: int) -> None:
        self._sender.send(bytes([number]))

    def close(self) -> None:
        self._receiver.close()
        self._sender.close()


Body = str | type[OSError]


class Team:
    """A supervisor at work for as long as a block lasts.

    Args:
        settings: What the workers are told.
        bodies: What each worker does, in the order in which they start; the last one again and
            again. `OSError` for one that does not start.
        seats: How many there are.
        patience: The supervisor's.
    """

    def __init__(
        self,
        settings: Settings,
        *bodies: Body,
        seats: int = 1,
        patience: Patience = QUICK,
    ) -> None:
        self.settings = settings
        self.bodies = list(bodies)
        self.hired: list[WorkerProcess] = []
        self.welcomes: list[str] = []
        self.stops = 0
        self.signals = Told()
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run)
        self._supervisor = Supervisor(
            self._hire,
            seats=seats,
            signals=self.signals,
            patience=patience,
            when_ready=self.welcomes.append,
            when_stopping=self._count_stop,
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        for _try in range(2):
            if self._thread.is_alive():
                self.signals.tell(15)
                self._thread.join(10)
        assert not self._thread.is_alive()
        self.signals.close()

    def tell(self, number: int) -> None:
        self.signals.tell(number)

    def end(self) -> None:
        """Wait until the supervisor has ended by itself."""
        self._thread.join(10)
        assert not self._thread.is_alive()

    def wait(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + 10
        while not condition():
            assert time.monotonic() < deadline
            assert self._thread.is_alive()
            time.sleep(0.01)

    def has_ready(self, count: int) -> bool:
        return [worker.is_ready for worker in self.hired].count(True) == count

    def roles(self) -> list[tuple[int, bool, bool]]:
        """The number of each, whether it declares and whether it watches."""
        roles = [worker.role for worker in self.hired]
        return [(role.number, role.declares, role.watches) for role in roles]

    def _hire(self, role: Role) -> WorkerProcess:
        body = self.bodies.pop(0) if len(self.bodies) > 1 else self.bodies[0]
        if not isinstance(body, str):
            raise body(11, "no more processes")
        orders = Orders(settings=self.settings, role=role)
        worker = WorkerProcess(orders, now=time.monotonic(), command=script(body))
        self.hired.append(worker)
        return worker

    def _run(self) -> None:
        try:
            self._supervisor.run()
        except BaseException as error:  # noqa: BLE001 - shown to the test
            self.error = error

    def _count_stop(self) -> None:
        self.stops += 1


def said(caplog: pytest.LogCaptureFixture, event: str) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.message == event]
