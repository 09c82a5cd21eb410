"""All scenarios, in the order of the table."""

from collections.abc import Iterator

from benchmarks.clients_of_openai import clients_of_openai
from benchmarks.footprint import footprint
from benchmarks.paced import capacity, health, paced, thinking
from benchmarks.scenario import Scenario
from benchmarks.streams import answers, plain_calls, replies, streams
from benchmarks.workers import workers


def scenarios() -> Iterator[Scenario]:
    yield from plain_calls()
    yield from replies()
    yield from streams()
    yield from answers()
    yield from clients_of_openai()
    yield from paced()
    yield from capacity()
    yield thinking()
    yield from health()
    yield from footprint()
    yield from workers()
