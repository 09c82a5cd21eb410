"""The worker's side of the way to its parent; that it serves is told in e2e/test_workers."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from hayserve.errors import Misconfigured
from hayserve.server.orders import Alive, Orders, Ready, decode
from hayserve.server.role import Role
from hayserve.server.worker import Control, targets_in
from server.serving import put, settings_in


def test_orders_are_taken_and_signs_given(tmp_path: Path) -> None:
    parent, child = socket.socketpair()
    with parent, child:
        control = Control(child)
        orders = Orders(settings=settings_in(tmp_path), role=Role(3))
        parent.sendall(orders.encode())
        assert control.orders() == orders
        control.beat()
        control.say(Ready("Hello."))
        lines = parent.recv(1000).splitlines()
        assert [decode(line) for line in lines] == [Alive(), Ready("Hello.")]


def test_a_parent_that_does_not_read_keeps_nobody_waiting() -> None:
    parent, child = socket.socketpair()
    with parent, child:
        control = Control(child)
        for _ in range(100_000):
            control.beat()


def test_a_parent_that_is_gone_is_no_failure() -> None:
    parent, child = socket.socketpair()
    with child:
        parent.close()
        control = Control(child)
        assert control.orders() is None
        control.say(Ready("Hello."))
        control.beat()


FOLLOWS = """
import signal, socket, sys
from hayserve.server.worker import Control
signal.signal(signal.SIGTERM, lambda *_: print("told", flush=True))
Control(socket.socket(fileno=int(sys.argv[1]))).follow(grace=0.2)
"""


def test_a_worker_without_parent_is_told_and_then_ended() -> None:
    parent, child = socket.socketpair()
    with child:
        worker = subprocess.Popen(
            [sys.executable, "-c", FOLLOWS, str(child.fileno())],
            pass_fds=[child.fileno()],
            stdout=subprocess.PIPE,
            text=True,
        )
    with worker:
        parent.sendall(b"?")
        parent.close()
        said, _ = worker.communicate(timeout=20)
    assert (said, worker.returncode) == ("told\n", 1)


def test_a_worker_whose_parent_dies_before_it_says_anything_ends() -> None:
    parent, child = socket.socketpair()
    with child:
        command = [sys.executable, "-m", "hayserve.server.worker", str(child.fileno())]
        with subprocess.Popen(command, pass_fds=[child.fileno()]) as worker:
            child.close()
            parent.close()
            assert worker.wait(20) == 0


def test_paths_that_are_gone_are_a_failure_only_for_who_declares_them(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = settings_in(tmp_path)
    orders = Orders(settings=settings, paths=(str(tmp_path / "gone"),))
    with pytest.raises(Misconfigured, match="There is nothing at"):
        targets_in(orders)
    later = Orders(settings=settings, paths=orders.paths, role=Role(declares=False))
    assert targets_in(later) == []
    assert "paths_are_gone" in caplog.text
    there = Orders(settings=settings, paths=(str(put(tmp_path / "here")),))
    [target] = targets_in(there) or []
    assert target.name == "here"
    assert targets_in(Orders(settings=settings)) is None
