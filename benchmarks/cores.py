"""Which core runs what: the server on the first, and who measures it on the second."""

import os
from collections.abc import Generator
from contextlib import contextmanager


def server_core() -> frozenset[int]:
    return frozenset(sorted(os.sched_getaffinity(0))[:1])


def client_core() -> frozenset[int]:
    return frozenset(sorted(os.sched_getaffinity(0))[1:2]) or server_core()


def both_cores() -> frozenset[int]:
    return server_core() | client_core()


@contextmanager
def started_on(cores: frozenset[int]) -> Generator[None]:
    """Whatever is started in the block stays on these cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
