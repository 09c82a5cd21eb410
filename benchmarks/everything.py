"""All scenarios, in the order of the table."""

from collections.abc import Iterator

from benchmarks.scenario import Scenario
from benchmarks.streams import answers, plain_calls, replies, streams


def scenarios() -> Iterator[Scenario]:
    yield from plain_calls()
    yield from replies()
    yield from streams()
    yield from answers()
