"""Keeps who runs the requests that came with an Idempotency-Key, and what was answered to them."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Row, and_, delete, or_, select, text, update

from hayserve.storage.database import Database
from hayserve.storage.tables import kept_answers, workers

# The same in both databases, and as text because what `on_conflict_do_update` makes is compiled
# anew each time, which takes longer than to execute it.
_CLAIM = text("""
    INSERT INTO kept_answers ("key", fingerprint, worker, run, expires_at)
    VALUES (:key, :fingerprint, :worker, :run, :expires_at)
    ON CONFLICT ("key") DO UPDATE
    SET fingerprint = excluded.fingerprint, worker = excluded.worker, run = excluded.run,
        expires_at = excluded.expires_at, status = NULL, headers = NULL, body = NULL
    WHERE kept_answers.status IS NOT NULL AND kept_answers.expires_at <= :now
    RETURNING run
""")


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that came with a key.

    Args:
        key: Stands for the key and the caller together; 64 characters.
        fingerprint: Two requests that are the same have the same.
        run: The id of this request and of the run that it may start.
    """

    key: str
    fingerprint: str
    run: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request was answered, or all that is remembered of it.

    Args:
        status: The HTTP status.
        headers: Names and values.
        body: All of it; None where it was too large to be kept.
    """

    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes | None


@dataclass(frozen=True, slots=True)
class Found:
    """What is known of a key.

    Args:
        fingerprint: The request's that came with it first.
        worker: Which worker runs that, or ran it.
        run: As which run.
        answer: What it was answered; None as long as it is under way.
    """

    fingerprint: str
    worker: str
    run: str
    answer: Answer | None


class Answers:
    """The answers of all workers that share a database. The methods block; call them in threads.

    Args:
        database: Where they are kept.
        worker: The id of this one.
        keep_seconds: For how long.
        clock: Seconds since 1970.

    Raises:
        StorageUnavailable: From each method, if the database does not answer.
    """

    def __init__(
        self,
        database: Database,
        *,
        worker: str,
        keep_seconds: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self.worker = worker
        self._keep_seconds = keep_seconds
        self._clock = clock

    def claim(self, asked: Asked) -> Found | None:
        """Take a key that is free, or whose answer has expired; else what is known of it.

        Of all who ask for a key at the same time, one gets it.
        """
        now = self._clock()
        row = {
            "key": asked.key,
            "fingerprint": asked.fingerprint,
            "worker": self.worker,
            "run": asked.run,
            "expires_at": now + self._keep_seconds,
        }
        with self._database.writing_aside() as connection:
            if connection.execute(_CLAIM, {**row, "now": now}).first() is not None:
                return None
        return self.find(asked) or self.claim(asked)

    def find(self, asked: Asked) -> Found | None:
        """What is known of a key; None if it is free."""
        with self._database.reading() as connection:
            query = select(kept_answers).where(kept_answers.c.key == asked.key)
            row = connection.execute(query).first()
            return None if row is None else _found(row)

    def take_over(self, asked: Asked, found: Found) -> bool:
        """Take a key from a run that nobody will end; False if that has ended, or others did so."""
        mine = {"worker": self.worker, "run": asked.run, "expires_at": self._expiry()}
        with self._database.writing_aside() as connection:
            taken = update(kept_answers).where(_is_under_way(asked.key, found.run)).values(**mine)
            return bool(connection.execute(taken).rowcount)

    def keep(self, asked: Asked, answer: Answer) -> None:
        """Keep what the run of a request answered, if the key is still its own."""
        values = {
            "status": answer.status,
            "headers": [list(header) for header in answer.headers],
            "body": answer.body,
            "expires_at": self._expiry(),
        }
        with self._database.writing_aside() as connection:
            own = _is_under_way(asked.key, asked.run)
            connection.execute(update(kept_answers).where(own).values(**values))

    def release(self, asked: Asked) -> None:
        """Give a key back, if it is still this request's own."""
        with self._database.writing_aside() as connection:
            connection.execute(delete(kept_answers).where(_is_under_way(asked.key, asked.run)))

    def purge(self) -> int:
        """Delete what has expired; gives the number of it."""
        left_behind = kept_answers.c.worker.not_in(select(workers.c.id))
        has_ended = or_(kept_answers.c.status.is_not(None), left_behind)
        with self._database.writing_aside() as connection:
            old = delete(kept_answers).where(self._has_expired(), has_ended)
            return connection.execute(old).rowcount

    def _expiry(self) -> float:
        return self._clock() + self._keep_seconds

    def _has_expired(self) -> ColumnElement[bool]:
        return kept_answers.c.expires_at <= self._clock()


def _is_under_way(key: str, run: str) -> ColumnElement[bool]:
    row = kept_answers.c
    return and_(row.key == key, row.run == run, row.status.is_(None))


def _found(row: Row[tuple[object, ...]]) -> Found:
    answer = None
    if row.status is not None:
        answer = Answer(row.status, [(name, value) for name, value in row.headers], row.body)
    return Found(row.fingerprint, row.worker, row.run, answer)
