"""Callers with budgets, and workers that share a database."""

from collections.abc import Collection

from access.conftest import Clock
from hayserve.access.bank import Bank
from hayserve.access.budget import Budget
from hayserve.access.identity import Identity
from hayserve.access.limits import Limits
from hayserve.storage.database import Database
from hayserve.wrappers.caller import Caller

KEY = "0123456789ab"


def caller(owner: str = KEY, /, **limits: int) -> Identity:
    """Whoever has the key `ada` with these limits."""
    return Identity(Caller("key", "ada"), owner=owner, budget=Budget(**limits))


class Company:
    """Workers that share a database; all of them live until they are said to be dead."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self.live: list[str] = []

    def bank(self, worker: str) -> Bank:
        self.live.append(worker)
        return Bank(self._database, worker=worker, live=self._who_lives, clock=self._clock)

    def limits(self, worker: str) -> Limits:
        return Limits(self.bank(worker), clock=self._clock)

    def _who_lives(self) -> Collection[str]:
        return self.live
