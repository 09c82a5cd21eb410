"""Knows the workers that serve, in this process and in others, on this machine and on others."""

import hashlib
import os
import secrets
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import delete, insert, select, update

from hayserve.storage.database import Database
from hayserve.storage.tables import workers

BEAT_SECONDS = 3.0
# A worker of another machine that gives no sign for so long is not waited for any more.
DEAD_AFTER_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Worker:
    """A process that serves.

    Args:
        id: What it is called in answers to a change.
        node: The machine it runs on.
        pid: Its number there.
        run: The run of the server that it belongs to.
        failed: What it cannot serve although it should, by name.
    """

    id: str
    node: str
    pid: int
    run: str
    failed: Mapping[str, str]

    @property
    def label(self) -> str:
        """What people are told."""
        return f"process {self.pid} on {self.node.partition('/')[0]}"


class Members:
    """The list of workers.

    Those of this machine are asked of its kernel; those of others give signs of life.

    Args:
        database: Where the list is kept.
        run: The run of the server that this worker belongs to.
        node: What this machine is called.
        clock: Counts seconds.
    """

    def __init__(
        self,
        database: Database,
        *,
        run: str = "",
        node: str | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self.node = this_node() if node is None else node
        self.run = run
        self._clock = clock
        self._signs: dict[str, tuple[int, float]] = {}
        self.id = f"{os.getpid()}-{secrets.token_hex(4)}"

    @property
    def needs_signs(self) -> bool:
        """Whether workers of other machines may be on the list."""
        return not self._database.address.is_sqlite

    def join(self) -> None:
        """Be on the list: from now on a change waits for this worker."""
        with self._database.writing() as connection:
            connection.execute(insert(workers).values(**self._row()))

    def leave(self) -> None:
        """Be off the list."""
        with self._database.writing() as connection:
            connection.execute(delete(workers).where(workers.c.id == self.id))

    def beat(self) -> bool:
        """Give a sign of life; False if the others had given this worker up."""
        with self._database.writing() as connection:
            own = workers.c.id == self.id
            result = connection.execute(update(workers).where(own).values(beat=workers.c.beat + 1))
            if not result.rowcount:
                connection.execute(insert(workers).values(**self._row()))
            return bool(result.rowcount)

    def report(self, failed: Mapping[str, str]) -> None:
        """Tell the others what this worker cannot serve."""
        with self._database.writing() as connection:
            own = workers.c.id == self.id
            connection.execute(update(workers).where(own).values(failed=dict(failed)))

    def live(self) -> dict[str, Worker]:
        """The workers that live, by id; the dead are taken off the list."""
        with self._database.reading() as connection:
            rows = connection.execute(select(workers).order_by(workers.c.started_at)).all()
        dead = [row.id for row in rows if not self._lives(row)]
        if dead:
            with self._database.writing() as connection:
                connection.execute(delete(workers).where(workers.c.id.in_(dead)))
        return {
            row.id: Worker(row.id, row.node, row.pid, row.run, row.failed)
            for row in rows
            if row.id not in dead
        }

    def is_alone(self) -> bool:
        """Whether no worker of another run of the server lives."""
        return all(worker.run == self.run for worker in self.live().values())

    def _lives(self, row: Any) -> bool:
        if row.id == self.id:
            return True
        if row.node == self.node:
            is_there = bool(started_at(row.pid) == row.started_at)
            return is_there and (not self.needs_signs or self._gives_signs(row))
        return self._gives_signs(row)

    def _gives_signs(self, row: Any) -> bool:
        beat, seen_at = self._signs.get(row.id, (None, 0.0))
        if beat != row.beat:
            self._signs[row.id] = (row.beat, self._clock())
            return True
        return self._clock() - seen_at < DEAD_AFTER_SECONDS

    def _row(self) -> dict[str, Any]:
        pid = os.getpid()
        return {
            "id": self.id,
            "node": self.node,
            "pid": pid,
            "beat": 0,
            "started_at": started_at(pid),
            "run": self.run,
            "failed": {},
        }


def this_node() -> str:
    """A name of this machine that no other has, also where containers share a host's name."""
    marks = [socket.gethostname()]
    with suppress(OSError):
        marks.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii"))
        marks.append(str(Path("/proc/self/ns/pid").readlink()))
    return f"{marks[0]}/{hashlib.sha256('/'.join(marks).encode()).hexdigest()[:8]}"


def started_at(pid: int) -> float | None:
    """When a process began, in ticks of its machine; 0 where that cannot be known, None if none."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:  # it lives, and is somebody else's
        pass
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0.0
    state, *fields = text.rpartition(")")[2].split()
    return None if state in "ZX" else float(fields[18])
