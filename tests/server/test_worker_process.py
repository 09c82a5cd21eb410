"""A worker as its parent sees it; most is told in test_supervisor."""

import signal
import sys
import time
from pathlib import Path

import pytest

from hayserve.server.orders import Orders
from hayserve.server.role import Role
from hayserve.server.worker_process import WorkerProcess
from server.serving import settings_in
from server.team import script


def started(folder: Path, body: str) -> WorkerProcess:
    orders = Orders(settings=settings_in(folder), role=Role(2))
    return WorkerProcess(orders, now=time.monotonic(), command=script(body))


def end_of(worker: WorkerProcess) -> str:
    deadline = time.monotonic() + 10
    while (ending := worker.ending()) is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return ending


def test_a_sign_that_comes_in_two_halves_is_one(tmp_path: Path) -> None:
    halves = """
control.sendall(b'{"is": "ready", "wel')
time.sleep(0.1)
control.sendall(b'come": "Hello."}\\n')
"""
    worker = started(tmp_path, halves)
    deadline = time.monotonic() + 10
    while not worker.is_ready:
        assert time.monotonic() < deadline
        worker.hear(time.monotonic())
    assert (worker.welcome, worker.role.number) == ("Hello.", 2)
    assert end_of(worker) == "exit code 0"
    worker.hear(time.monotonic())
    assert worker.is_mute
    worker.bury()


def test_what_a_terminal_sends_waits_until_a_worker_can_handle_it(tmp_path: Path) -> None:
    held = "print(sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])), file=sys.stderr)"
    masks = (
        f"{held}\nok = signal.pthread_sigmask(signal.SIG_BLOCK, []) == {{1, 2}}\nsys.exit(not ok)"
    )
    worker = started(tmp_path, masks)
    assert end_of(worker) == "exit code 0"
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == set()
    worker.bury()


def test_a_worker_that_is_dead_before_it_is_told_anything_is_no_failure(tmp_path: Path) -> None:
    orders = Orders(settings=settings_in(tmp_path), paths=("x" * 10_000_000,))
    command = (sys.executable, "-I", "-S", "-c", "")
    worker = WorkerProcess(orders, now=0.0, command=command)
    assert end_of(worker) == "exit code 0"
    worker.bury()


def test_a_command_that_does_not_exist_leaves_nothing_open(tmp_path: Path) -> None:
    orders = Orders(settings=settings_in(tmp_path))
    with pytest.raises(FileNotFoundError):
        WorkerProcess(orders, now=0.0, command=["/nowhere/at/all"])
