"""Shares budgets out among the workers, so that together they never have more than the limit."""

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple
from zlib import crc32

from sqlalchemy import Connection, bindparam, delete, text

from hayserve.access.kinds import REQUESTS, RUNS, TOKENS
from hayserve.storage.database import Database
from hayserve.storage.tables import shares

# Of what is left, the workers hold at most this part together to use it; the rest is for whoever
# comes next.
_PART_HELD = 4
# As text: it is executed several times a second, and is the same in both databases.
_LOOK = text("""
    SELECT "key", kind, "window", worker, used, spare FROM shares
    WHERE "key" IN :keys AND "window" IN :windows
""").bindparams(bindparam("keys", expanding=True), bindparam("windows", expanding=True))
_WRITE = text("""
    INSERT INTO shares ("key", kind, "window", worker, used, spare)
    VALUES (:key, :kind, :window, :worker, :used, :spare)
    ON CONFLICT ("key", kind, "window", worker) DO UPDATE
    SET used = excluded.used, spare = excluded.spare
""")
# On PostgreSQL transactions run side by side: those at the same key take turns, and those at
# several ask for their turns in the same order.
_TURNS = text("""
    SELECT pg_advisory_xact_lock(:room, turn) FROM unnest(CAST(:turns AS integer[])) AS turn
""")
_ROOM = int.from_bytes(b"keys")


class Account(NamedTuple):
    """A budget in one window of time.

    Args:
        key: Whose it is.
        kind: The name of what it limits.
        window: The number of the window.
    """

    key: str
    kind: str
    window: int


class Order(NamedTuple):
    """What a worker has of an account, and would like to have.

    Args:
        account: Which.
        limit: How much all workers together may have.
        used: How much of its share this one has used, all in all.
        keep: How much it holds unused and does not give back.
        wanted: How much of that somebody waits for.
        ahead: Whether it would like more, to use it without asking.
    """

    account: Account
    limit: float
    used: float
    keep: float = 0
    wanted: float = 0
    ahead: bool = False


class Share(NamedTuple):
    """What a worker has got.

    Args:
        spare: How much it may use.
        left: How much is left for anybody.
        held: How much other workers hold that they have not used; known if somebody has to wait.
        used: And what they have used; the dead count in neither.
    """

    spare: float
    left: float
    held: float = 0
    used: float = 0


class _Row(NamedTuple):
    worker: str
    used: float
    spare: float


class _Found(NamedTuple):
    """What came of an order, and what other workers have of the account."""

    share: Share
    others: Sequence[_Row]


class Bank:
    """What all workers have of budgets. The methods block; call them in threads.

    What a worker has used and what it holds to use it belong to that worker alone, as one row of
    the table: it is never taken away while the worker lives, so whatever clocks say, and whoever
    is slow, workers never have more than the limit together. What a worker had when it died counts
    as used until the window ends; the runs of a dead worker are not under way any more.

    Args:
        database: Where it is kept.
        worker: What this worker is called; no other ever had that name.
        live: The names of the workers that live; it may block.
        clock: Seconds since 1970.

    Raises:
        StorageUnavailable: From each method, if the database does not answer.
    """

    def __init__(
        self,
        database: Database,
        *,
        worker: str,
        live: Callable[[], Collection[str]],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._worker = worker
        self._live = live
        self._clock = clock

    def settle(self, orders: Sequence[Order]) -> list[Share]:
        """Note what this worker has used, take what it gives back, and give it what it may have.

        To do it twice is the same as to do it once, so that whoever does not know whether it was
        done may do it again.
        """
        found = self._transact(orders)
        in_question = {
            row.worker
            for order, (share, others) in zip(orders, found, strict=True)
            if share.spare < order.wanted
            for row in others
            if row.spare or order.account.kind == RUNS.name
        }
        if not in_question:
            return [share for share, _ in found]
        dead = in_question.difference(self._live())
        if self._free(dead):
            found = self._transact(orders)
        return [_seen(share, others, dead) for share, others in found]

    def purge(self) -> None:
        """Delete what windows that are over have left, and dead workers."""
        now = self._clock()
        live = {self._worker, *self._live()}
        kind, window = shares.c.kind, shares.c.window
        is_minute, is_slot = kind == REQUESTS.name, kind == RUNS.name
        with self._database.writing_aside() as connection:
            for is_old in (
                is_minute & (window < REQUESTS.window_at(now) - 1),
                ~is_minute & ~is_slot & (window < TOKENS.window_at(now) - 1),
                is_slot & shares.c.worker.not_in(live),
            ):
                connection.execute(delete(shares).where(is_old))

    def _transact(self, orders: Sequence[Order]) -> list[_Found]:
        found: list[_Found] = []
        changed: list[dict[str, object]] = []
        with self._database.writing_aside() as connection:
            _take_turn(connection, orders)
            rows = _rows_of(connection, orders)
            for order in orders:
                own = rows[order.account].pop(self._worker, None)
                others = [*rows[order.account].values()]
                share = _share(order, others)
                found.append(_Found(share, others))
                row = _Row(self._worker, order.used, share.spare)
                if row != (own or _Row(self._worker, 0, 0)):
                    changed.append(order.account._asdict() | row._asdict())
            if changed:
                connection.execute(_WRITE, changed)
        return found

    def _free(self, dead: Collection[str]) -> bool:
        """Whether these had runs under way, which now are none."""
        if not dead:
            return False
        gone = delete(shares).where(shares.c.kind == RUNS.name, shares.c.worker.in_(dead))
        with self._database.writing_aside() as connection:
            return bool(connection.execute(gone).rowcount)


def _share(order: Order, others: Sequence[_Row]) -> Share:
    free = order.limit - order.used - sum(row.used + row.spare for row in others)
    wanted = order.wanted
    if order.ahead:
        in_use = sum(1 for row in others if row.used or row.spare)
        wanted = max(wanted, free // (_PART_HELD * (1 + in_use)))
    spare = max(order.keep, min(wanted, free), 0)
    return Share(spare, max(0, free - spare))


def _seen(share: Share, others: Sequence[_Row], dead: Collection[str]) -> Share:
    live = [row for row in others if row.worker not in dead]
    return share._replace(held=sum(row.spare for row in live), used=sum(row.used for row in live))


def _take_turn(connection: Connection, orders: Sequence[Order]) -> None:
    if connection.dialect.name == "postgresql":
        turns = sorted({crc32(order.account.key.encode()) - 2**31 for order in orders})
        connection.execute(_TURNS, {"room": _ROOM, "turns": turns})


def _rows_of(connection: Connection, orders: Sequence[Order]) -> Mapping[Account, dict[str, _Row]]:
    """What the workers have of the accounts, by their names."""
    wanted = {
        "keys": [*{order.account.key for order in orders}],
        "windows": [*{order.account.window for order in orders}],
    }
    rows: defaultdict[Account, dict[str, _Row]] = defaultdict(dict)
    for key, kind, window, worker, used, spare in connection.execute(_LOOK, wanted):
        rows[Account(key, kind, window)][worker] = _Row(worker, used, spare)
    return rows
