"""Threads for code that is not async."""

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from hayserve.runs import threads
from hayserve.runs.threads import Threads

SECONDS = 10.0


def alive() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "hayserve run"}


@contextmanager
def open_threads() -> Generator[Threads]:
    """Threads of which none is left when the block is left."""
    before = alive()
    opened = Threads()
    try:
        yield opened
    finally:
        opened.close()
        for thread in alive() - before:
            thread.join(SECONDS)
        assert alive() <= before


class Gate:
    """A call that ends when it is let go."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.go = threading.Event()
        self.ended = threading.Event()

    def __call__(self) -> None:
        self.begun.set()
        self.go.wait(SECONDS)
        self.ended.set()


def meeting(count: int) -> tuple[Callable[[], None], threading.Event]:
    """A call that has to be made `count` times at once, and when that was."""
    together = threading.Barrier(count, timeout=SECONDS)
    met = threading.Event()

    def call() -> None:
        together.wait()
        met.set()

    return call, met


def test_every_call_is_made_once() -> None:
    made: list[int] = []
    done = threading.Semaphore(0)

    def call(number: int) -> None:
        made.append(number)
        done.release()

    with open_threads() as opened:
        for number in range(5000):
            opened.submit(lambda number=number: call(number))
        assert all(done.acquire(timeout=SECONDS) for _ in range(5000))
    assert sorted(made) == list(range(5000))


def test_calls_of_several_submitters_are_all_made() -> None:
    done = threading.Semaphore(0)

    with open_threads() as opened:

        def submits() -> None:
            for _ in range(500):
                opened.submit(done.release)

        submitters = [threading.Thread(target=submits) for _ in range(8)]
        for submitter in submitters:
            submitter.start()
        assert all(done.acquire(timeout=SECONDS) for _ in range(4000))
        for submitter in submitters:
            submitter.join(SECONDS)


def test_a_call_that_blocks_holds_no_other_up() -> None:
    gates = [Gate() for _ in range(20)]
    quick = threading.Event()
    with open_threads() as opened:
        for gate in gates:
            opened.submit(gate)
        opened.submit(quick.set)
        assert quick.wait(SECONDS)
        assert all(gate.begun.wait(SECONDS) for gate in gates)
        for gate in gates:
            gate.go.set()


def test_calls_that_wait_for_each_other_are_made_at_once() -> None:
    call, met = meeting(50)
    with open_threads() as opened:
        for _ in range(50):
            opened.submit(call)
        assert met.wait(SECONDS)


def test_many_short_calls_need_few_threads() -> None:
    before = alive()
    names: set[int] = set()
    done = threading.Semaphore(0)

    def call() -> None:
        names.add(threading.get_ident())
        done.release()

    with open_threads() as opened:
        for _ in range(200):
            opened.submit(call)
            assert done.acquire(timeout=SECONDS)
        assert len(alive() - before) <= 3
        for _ in range(2000):
            opened.submit(call)
        assert all(done.acquire(timeout=SECONDS) for _ in range(2000))
        assert len(alive() - before) <= 1000  # and fewer by far where no tracer slows calls down


def test_a_call_may_submit_a_call_and_wait_for_it() -> None:
    made: list[str] = []
    ended = threading.Event()

    with open_threads() as opened:

        def inner(done: threading.Event) -> None:
            made.append("inner")
            done.set()

        def outer() -> None:
            done = threading.Event()
            opened.submit(lambda: inner(done))
            assert done.wait(SECONDS)
            made.append("outer")
            ended.set()

        opened.submit(outer)
        assert ended.wait(SECONDS)
    assert made == ["inner", "outer"]


def test_a_thread_that_nobody_needs_for_long_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "IDLE_SECONDS", 0.01)
    before = alive()
    call, met = meeting(5)
    with open_threads() as opened:
        for _ in range(5):
            opened.submit(call)
        assert met.wait(SECONDS)
        for thread in alive() - before:
            thread.join(SECONDS)
        assert alive() <= before
        again = threading.Event()
        opened.submit(again.set)
        assert again.wait(SECONDS)


def test_a_call_that_comes_as_its_thread_gives_up_waiting_is_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(threads, "IDLE_SECONDS", 0.0)
    done = threading.Semaphore(0)
    with open_threads() as opened:
        for _ in range(300):
            opened.submit(done.release)
            assert done.acquire(timeout=SECONDS)


class LastMoment:
    """A lock that is released in the moment in which its owner gives up waiting for it."""

    def __init__(self, release: Callable[[], None]) -> None:
        self._inner = threading.Lock()
        self._release = release

    def acquire(self, timeout: float = -1) -> bool:
        if timeout <= 0:
            return self._inner.acquire(timeout=timeout)
        self._release()
        return False

    def release(self) -> None:
        self._inner.release()


def test_a_thread_that_is_woken_as_it_gives_up_waiting_makes_the_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    left = [threading.Event(), threading.Event()]
    with open_threads() as opened:

        def release() -> None:
            if left:
                opened.submit(left.pop().set)

        first, second = left
        locks = SimpleNamespace(Lock=lambda: LastMoment(release), Thread=threading.Thread)
        monkeypatch.setattr(threads, "threading", locks)
        opened.submit(lambda: None)
        assert first.wait(SECONDS)
        assert second.wait(SECONDS)


def test_closed_threads_end_at_once_and_make_all_calls_before() -> None:
    before = alive()
    opened = Threads()
    gate, waiting = Gate(), threading.Event()
    call, met = meeting(3)
    for _ in range(3):
        opened.submit(call)
    assert met.wait(SECONDS)
    opened.submit(gate)
    assert gate.begun.wait(SECONDS)
    opened.submit(waiting.set)
    opened.close()
    assert waiting.wait(SECONDS)
    gate.go.set()
    for thread in alive() - before:
        thread.join(SECONDS)
    assert gate.ended.is_set()
    assert alive() <= before


def test_no_call_is_lost_when_threads_are_closed_as_it_comes() -> None:
    before = alive()
    for _ in range(300):
        opened = Threads()
        first, last = threading.Event(), threading.Event()
        opened.submit(first.set)
        assert first.wait(SECONDS)
        opened.submit(last.set)
        opened.close()
        assert last.wait(SECONDS)
    for thread in alive() - before:
        thread.join(SECONDS)


def test_a_call_after_the_end_is_made_too() -> None:
    before = alive()
    opened = Threads()
    opened.close()
    made = threading.Event()
    opened.submit(made.set)
    assert made.wait(SECONDS)
    for thread in alive() - before:
        thread.join(SECONDS)
    assert alive() <= before


def no_thread(_: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def test_a_call_for_which_the_system_has_no_thread_is_refused_and_the_next_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[str] = []
    done = threading.Event()
    with open_threads() as opened:
        with monkeypatch.context() as full:
            full.setattr(threading.Thread, "start", no_thread)
            with pytest.raises(RuntimeError, match="can't start new thread"):
                opened.submit(lambda: made.append("first"))
        opened.submit(done.set)
        assert done.wait(SECONDS)
    assert made == []


def test_a_call_without_a_thread_of_its_own_is_made_by_one_that_gets_free(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gate, made = Gate(), threading.Event()

    def too_late(_: threading.Thread) -> None:
        gate.go.set()
        assert made.wait(SECONDS)
        raise RuntimeError("can't start new thread")

    with open_threads() as opened:
        opened.submit(gate)
        assert gate.begun.wait(SECONDS)
        with monkeypatch.context() as full:
            full.setattr(threading.Thread, "start", too_late)
            opened.submit(made.set)


def test_one_thread_makes_all_calls_if_there_can_be_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gate, done = Gate(), threading.Semaphore(0)
    starts: list[threading.Thread] = []
    start = threading.Thread.start

    def only_one(thread: threading.Thread) -> None:
        if starts:
            no_thread(thread)
        starts.append(thread)
        opened.submit(done.release)  # which this thread is to make too
        start(thread)

    with open_threads() as opened, monkeypatch.context() as full:
        full.setattr(threading.Thread, "start", only_one)
        opened.submit(gate)
        assert gate.begun.wait(SECONDS)
        gate.go.set()
        assert done.acquire(timeout=SECONDS)
