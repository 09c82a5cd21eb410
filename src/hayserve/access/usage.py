"""Keeps how much each caller has used of each deployment, by days."""

import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass

import anyio
import anyio.to_thread
from sqlalchemy import select, text

from hayserve.access.identity import Identity
from hayserve.errors import StorageUnavailable
from hayserve.storage.database import Database
from hayserve.storage.tables import usage

FLUSH_SECONDS = 1.0
_DAY = 86400
# The same in both databases, and as text, which need not be compiled.
_ADD = text("""
    INSERT INTO usage (day, owner, deployment, caller, runs, failed, seconds, input_tokens,
        output_tokens)
    VALUES (:day, :owner, :deployment, :caller, :runs, :failed, :seconds, :input_tokens,
        :output_tokens)
    ON CONFLICT (day, owner, deployment) DO UPDATE
    SET caller = excluded.caller, runs = usage.runs + excluded.runs,
        failed = usage.failed + excluded.failed, seconds = usage.seconds + excluded.seconds,
        input_tokens = usage.input_tokens + excluded.input_tokens,
        output_tokens = usage.output_tokens + excluded.output_tokens
""")


@dataclass(slots=True)
class Used:
    """What the runs of one owner and one deployment used in one day.

    Args:
        day: Which day, in UTC, counted from 1970.
        owner: Whose runs they were.
        deployment: What was run.
        caller: What people call the owner.
        runs: How many there were.
        failed: How many of these ended without an answer.
        seconds: How long they took together.
        input_tokens: How many tokens models were given.
        output_tokens: How many they gave.
    """

    day: int
    owner: str
    deployment: str
    caller: str
    runs: int = 0
    failed: int = 0
    seconds: float = 0.0
    input_tokens: int = 0
    output_tokens: int = 0

    def add(self, other: "Used") -> None:
        """Add what another says of the same day, owner and deployment."""
        self.runs += other.runs
        self.failed += other.failed
        self.seconds += other.seconds
        self.input_tokens += other.input_tokens
        self.output_tokens += other.output_tokens


class UsageBook:
    """Adds up what runs use, and writes it down each second.

    While the database is away it keeps adding up; what it then has in memory grows with the number
    of owners and deployments, not with that of runs. `note` belongs on the event loop.

    Args:
        database: Where it is kept.
        clock: Seconds since 1970.
    """

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock
        self._noted: dict[tuple[int, str, str], Used] = {}

    def note(
        self,
        identity: Identity,
        deployment: str,
        *,
        seconds: float,
        input_tokens: int = 0,
        output_tokens: int = 0,
        failed: bool = False,
    ) -> None:
        """Add a run that has ended.

        Args:
            identity: Whose it was.
            deployment: What was run.
            seconds: How long it took.
            input_tokens: How many tokens models were given.
            output_tokens: How many they gave.
            failed: Whether it ended without an answer.
        """
        # Those who are not known are one: they could say that they are many.
        owner = identity.owner if identity.is_known else ""
        key = (int(self._clock()) // _DAY, owner, deployment)
        if (used := self._noted.get(key)) is None:
            used = self._noted[key] = Used(*key, caller=identity.label)
        used.runs += 1
        used.failed += failed
        used.seconds += seconds
        used.input_tokens += input_tokens
        used.output_tokens += output_tokens

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Write down what was noted for as long as the block lasts, and what is left at its end."""
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._flush_often)
                try:
                    yield
                finally:
                    tasks.cancel_scope.cancel()
        finally:
            await self.flush()

    async def flush(self) -> None:
        """Write down what was noted; if the database does not answer, keep it for the next time."""
        noted, self._noted = self._noted, {}
        if not noted:
            return
        with anyio.CancelScope(shield=True):  # so that it is known whether it was written
            try:
                await anyio.to_thread.run_sync(self._write, [*noted.values()])
            except StorageUnavailable:  # which is logged
                for key, used in noted.items():
                    self._noted.setdefault(key, Used(*key, caller=used.caller)).add(used)

    def read(self, *, since_day: int, owner: str | None = None) -> list[Used]:
        """What was used and written down, the newest day first. It blocks.

        Args:
            since_day: The first day that counts, as in `Used`.
            owner: Whose runs; None for everybody's.

        Raises:
            StorageUnavailable: The database does not answer.
        """
        columns = usage.c
        rows = select(usage).where(columns.day >= since_day)
        if owner is not None:
            rows = rows.where(columns.owner == owner)
        rows = rows.order_by(columns.day.desc(), columns.owner, columns.deployment)
        with self._database.reading() as connection:
            return [Used(**row) for row in connection.execute(rows).mappings()]

    def _write(self, noted: Sequence[Used]) -> None:
        with self._database.writing_aside() as connection:
            connection.execute(_ADD, [asdict(used) for used in noted])

    async def _flush_often(self) -> None:
        while True:
            await anyio.sleep(FLUSH_SECONDS)
            await self.flush()
