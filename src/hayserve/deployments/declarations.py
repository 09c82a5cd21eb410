"""Keeps in the database what each node was started with, and what became of it."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, and_, delete, select

from hayserve.deployments.change import Declaration, DeclaredFailure, ErrorFields
from hayserve.deployments.deployment import Origin
from hayserve.storage.database import Database, upsert
from hayserve.storage.tables import declarations


@dataclass(frozen=True, slots=True)
class Entry:
    """What is noted of one thing that a node is started with.

    Args:
        run: The run of the server.
        digest: The hash of all that was said of it.
        origin: Who named it.
        error: Why it cannot be served; None if it can.
    """

    run: str
    digest: str = ""
    origin: Origin = "command line"
    error: ErrorFields | None = None


class Declarations:
    """What each node was started with.

    Args:
        database: Where it is kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, node: str) -> dict[str, Declaration]:
        """What a node was last started with, by name."""
        with self._database.reading() as connection:
            of_node = and_(declarations.c.node == node, declarations.c.name != "")
            rows = connection.execute(select(declarations).where(of_node))
            return {row.name: Declaration(row.digest, row.error is not None) for row in rows}

    def note(self, node: str, entries: Mapping[str, Entry]) -> None:
        """Note what a node was started with, and what became of it; the empty name is for all."""
        with self._database.writing() as connection:
            for name, entry in entries.items():
                row = {
                    "node": node,
                    "name": name,
                    "digest": entry.digest,
                    "origin": entry.origin,
                    "run": entry.run,
                    "error": entry.error,
                }
                upsert(connection, declarations, row, keys=["node", "name"])

    def forget(self, name: str, *, node: str) -> None:
        """Forget that a node was started with `name`."""
        own = and_(declarations.c.name == name, declarations.c.node == node)
        with self._database.writing() as connection:
            connection.execute(delete(declarations).where(own))

    def forget_failures(self, name: str) -> bool:
        """Forget that nodes were started with `name` and could not serve it; whether one was."""
        with self._database.writing() as connection:
            known = connection.execute(select(declarations).where(declarations.c.name == name))
            nodes = [row.node for row in known if row.error is not None]
            failed = and_(declarations.c.name == name, declarations.c.node.in_(nodes))
            connection.execute(delete(declarations).where(failed))
            return bool(nodes)


def failures_in(connection: Connection) -> list[DeclaredFailure]:
    rows = connection.execute(select(declarations).order_by(declarations.c.name))
    return [
        DeclaredFailure(row.name, row.origin, row.error) for row in rows if row.error is not None
    ]


def runs_in(connection: Connection, node: str) -> dict[str, str]:
    rows = connection.execute(select(declarations).where(declarations.c.node == node))
    return {row.name: row.run for row in rows}
