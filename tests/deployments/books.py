"""An open database and what is written in it, without any worker."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from hayserve.deployments.bundle import Bundle
from hayserve.deployments.change import Active, Change
from hayserve.deployments.ledger import Ledger
from hayserve.deployments.members import Members
from hayserve.deployments.plan import Plan
from hayserve.deployments.revision import Content
from hayserve.deployments.revisions import Revisions
from hayserve.storage.database import Database


def bundle(word: str) -> Bundle:
    return Bundle.of_texts({"pipeline_wrapper.py": word, "same.txt": "the same in all"})


class Book:
    """One database as its readers and writers see it."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.ledger = Ledger(database)
        self.revisions = Revisions(database)
        self.members = Members(database)

    def plan(self, name: str, word: str = "one", **given: Any) -> Plan:
        """A deploy of a bundle, which is kept."""
        made = bundle(word)
        self.revisions.save(made)
        seen: Active | None = given.pop("seen", None) or self.ledger.active(name)
        return Plan(name, "deploy", seen, content=Content("folder", made.digest), **given)

    def begin(self, plan: Plan, *, coordinator: str = "me") -> Change:
        return self.ledger.begin(plan, coordinator=coordinator)

    def serve(self, name: str, word: str = "one", **given: Any) -> None:
        """Make it so at once."""
        self.ledger.activate(self.plan(name, word, **given), coordinator="me")

    def undeploy(self, name: str) -> None:
        plan = Plan(name, "undeploy", self.ledger.active(name))
        self.ledger.activate(plan, coordinator="me")


@contextmanager
def book(url: str) -> Generator[Book]:
    database = Database(url)
    database.open()
    try:
        yield Book(database)
    finally:
        database.close()
