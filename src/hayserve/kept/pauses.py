"""Keeps the turns of agents that go on when their clients have executed what was asked of them."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, insert, select

from hayserve.storage.database import Database
from hayserve.storage.tables import pauses


@dataclass(frozen=True, slots=True)
class Pause:
    """A turn that waits.

    Args:
        deployment: The name of the agent's deployment, which alone can go on.
        data: What is needed for that.
    """

    deployment: str
    data: Mapping[str, Any]


class Pauses:
    """The turns of all workers that share a database. The methods block: call them in threads.

    Args:
        database: Where they are kept.
        keep_seconds: For how long.
        clock: Seconds since 1970.

    Raises:
        StorageUnavailable: From each method, if the database does not answer.
    """

    def __init__(
        self,
        database: Database,
        *,
        keep_seconds: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._keep_seconds = keep_seconds
        self._clock = clock

    def add(self, key: str, data: Mapping[str, Any], *, owner: str, deployment: str) -> None:
        """Keep a turn.

        Args:
            key: The run that it was; the ids of its calls are made of it.
            data: What is needed to go on.
            owner: Stands for the key of who may go on.
            deployment: The name of the agent's deployment, which alone can.
        """
        expires_at = self._clock() + self._keep_seconds
        row = {"key": key, "owner": owner, "deployment": deployment, "data": data}
        with self._database.writing_aside() as connection:
            connection.execute(insert(pauses).values(**row, expires_at=expires_at))

    def find(self, key: str, *, owner: str) -> Pause | None:
        """A turn; None if there is none of that key, or it is another's."""
        row = pauses.c
        query = select(row.deployment, row.data).where(
            row.key == key, row.owner == owner, row.expires_at > self._clock()
        )
        with self._database.reading() as connection:
            found = connection.execute(query).first()
        return None if found is None else Pause(found.deployment, found.data)

    def purge(self) -> int:
        """Delete what has expired; gives the number of it."""
        with self._database.writing_aside() as connection:
            old = delete(pauses).where(pauses.c.expires_at <= self._clock())
            return connection.execute(old).rowcount
