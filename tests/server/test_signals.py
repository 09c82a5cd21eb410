import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable

import pytest

from hayserve.server.signals import Signals, Terminal, on_hangup, unheeded

NUMBERS = (signal.SIGHUP, signal.SIGUSR2)


def test_signals_are_waited_for_and_do_nothing_else() -> None:
    before = signal.getsignal(signal.SIGHUP)
    with Signals(NUMBERS) as signals:
        assert signals.take() == []
        os.kill(os.getpid(), signal.SIGUSR2)
        os.kill(os.getpid(), signal.SIGHUP)
        assert select.select([signals], [], [], 5)[0] == [signals]
        assert sorted(signals.take()) == sorted(NUMBERS)
        assert signals.take() == []
    assert signal.getsignal(signal.SIGHUP) == before


def places(*answers: bool) -> Callable[[], bool]:
    """Whether there is a terminal, asked again and again."""
    left = list(answers)
    return lambda: left.pop(0) if len(left) > 1 else left[0]


@pytest.mark.parametrize(
    ("exists", "is_gone"),
    [(places(True, False), True), (places(True, True), False), (places(False, False), False)],
)
def test_a_terminal_is_gone_that_was_there(exists: Callable[[], bool], is_gone: bool) -> None:
    assert Terminal(exists).is_gone == is_gone


def test_a_terminal_is_not_followed_by_who_was_started_with_nohup() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert not Terminal(places(True, False)).is_gone
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_hangup_means_the_end_when_the_terminal_is_gone() -> None:
    with Signals(NUMBERS, terminal=Terminal(places(True, False))) as signals:
        os.kill(os.getpid(), signal.SIGHUP)
        assert select.select([signals], [], [], 5)[0] == [signals]
        assert signals.take() == [signal.SIGTERM]


LOOKS = """
import os
from hayserve.server.signals import has_terminal

print(has_terminal())
pid, terminal = os.forkpty()
if not pid:
    os._exit(not has_terminal())
print(os.waitpid(pid, 0)[1] == 0)
"""


def test_a_terminal_is_found_where_there_is_one() -> None:
    looked = subprocess.run(
        [sys.executable, "-c", LOOKS],
        start_new_session=True,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert looked.stdout == "False\nTrue\n"


def test_a_hangup_is_handled_for_a_while() -> None:
    heard: list[int] = []
    before = signal.getsignal(signal.SIGHUP)
    with on_hangup(lambda number, _: heard.append(number)):
        signal.raise_signal(signal.SIGHUP)
        with on_hangup(unheeded):
            signal.raise_signal(signal.SIGHUP)
    assert heard == [signal.SIGHUP]
    assert signal.getsignal(signal.SIGHUP) == before


def test_a_thread_that_may_handle_no_signal_does_not_try() -> None:
    done: list[bool] = []

    def work() -> None:
        with on_hangup(unheeded):
            done.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(5)
    assert done == [True]
