"""The helper process and its children, started by hand; `test_prove` drives them through theirs."""

import os
import socket
import subprocess
import sys
import tempfile
from time import monotonic

from hayserve.deployments.prove import HELPER
from hayserve.server import proof_process

COMMAND = [sys.executable, "-P", "-m", HELPER]


def test_it_is_where_the_prover_looks_for_it() -> None:
    assert proof_process.__name__ == HELPER


def test_it_says_how_it_is_started() -> None:
    ended = subprocess.run(COMMAND, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "CONTROL IDLE_SECONDS SECONDS forks|spawns" in ended.stderr


def test_a_child_that_is_given_nonsense_says_so_and_ends() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, tempfile.TemporaryFile() as trace:
        descriptors = [theirs.fileno(), trace.fileno()]
        ours.sendall(b"nonsense\n")
        arguments = [*descriptors, os.getpid(), monotonic() + 20]
        ended = subprocess.run(
            [*COMMAND, "child", *map(str, arguments)],
            pass_fds=descriptors,
            capture_output=True,
            text=True,
            check=False,
        )
    assert ended.returncode == 1
    assert "JSONDecodeError" in ended.stderr
    assert ended.stdout == ""
