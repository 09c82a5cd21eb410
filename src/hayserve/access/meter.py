"""What one worker has used of a budget that is paid afterwards: tokens, and seconds of runs."""

import math

import anyio

from hayserve.access.bank import Account, Order, Share
from hayserve.access.desk import Desk
from hayserve.access.kinds import Kind
from hayserve.errors import LimitReached

# For so long a worker trusts what it knows of the others.
_FRESH_SECONDS = 0.5


class Meter:
    """Counts what runs have used, and knows whether another may begin.

    A run is paid when it has ended, so the one that goes beyond the limit is not stopped. From the
    moment it is booked no other begins on this worker, and on others within half a second. It
    belongs on the event loop.

    Args:
        desk: Where it is settled.
        kind: What is counted.
        key: Whose budget it is.
        who: What that one is called in errors.
        limit: How much all workers together may use.
    """

    __slots__ = (
        "_asked_at",
        "_desk",
        "_ends_at",
        "_good_until",
        "_is_in_use",
        "_left",
        "_limit",
        "_told",
        "_used",
        "_window",
        "key",
        "kind",
        "turn",
        "who",
    )

    def __init__(self, desk: Desk, kind: Kind, *, key: str, who: str, limit: int) -> None:
        self._desk = desk
        self.kind = kind
        self.key = key
        self.who = who
        self._limit = limit
        self.turn = anyio.Lock()
        self._is_in_use = False
        self._asked_at = 0.0
        self._window, self._ends_at = 0, 0.0
        self._used = self._good_until = 0.0
        self._told: float | None = 0
        self._left = float(limit)

    def check(self) -> bool:
        """Whether a run may begin; False if the bank has to be asked.

        Raises:
            LimitReached: All is used.
        """
        now = self._desk.clock()
        if now >= self._good_until:
            return False
        if self._left <= 0:
            raise self._reached(now)
        self._is_in_use = True
        return True

    async def check_slowly(self) -> None:
        """Ask the bank whether a run may begin; those who wait ask together.

        Raises:
            LimitReached: All is used.
            StorageUnavailable: The database does not answer.
        """
        async with self.turn:
            if not self.check():
                await self._look()
        if self._left <= 0:
            raise self._reached(self._desk.clock())

    def charge(self, amount: float) -> None:
        """Book what a run has used."""
        self._enter_window()
        self._used += amount
        self._left -= amount
        self._desk.open(self)

    def limit_to(self, limit: int) -> None:
        """Have another limit from now on."""
        self._limit = limit
        self._good_until = 0.0

    @property
    def limit(self) -> int:
        return self._limit

    def remaining(self) -> int:
        """How much is left, as far as this worker knows."""
        if self._desk.clock() >= self._ends_at:
            return self._limit
        return max(0, math.floor(self._left))

    def is_cold(self) -> bool:
        """Whether the bank has to be asked."""
        return self._desk.clock() >= self._good_until

    def is_idle(self) -> bool:
        """Whether nothing has to be remembered of it."""
        self._enter_window()
        return not self._used and not self._desk.has_open(self) and not self.turn.locked()

    def expect(self) -> None:
        self._is_in_use = True
        self._desk.open(self)

    def begin(self, *, keeps: bool) -> Order | None:
        self._enter_window()
        is_in_use = keeps and self._is_in_use
        self._is_in_use = False
        return None if not is_in_use and self._told == self._used else self._order()

    def end(self, order: Order, share: Share) -> bool:
        if order.account.window == self._window:
            # In the meantime more may have been booked.
            self._left = share.left - (self._used - order.used)
            self._told = order.used
            # If nothing is left, that will not change before the window ends.
            trusted = self._asked_at + _FRESH_SECONDS if self._left > 0 else self._ends_at
            self._good_until = min(trusted, self._ends_at)
        return False

    async def _look(self) -> None:
        self._enter_window()
        order = self._order()
        self._desk.open(self)
        (share,) = await self._desk.ask([order])
        self.end(order, share)
        self._is_in_use = True

    def _order(self) -> Order:
        self._told = None
        self._asked_at = self._desk.clock()
        return Order(Account(self.key, self.kind.name, self._window), self._limit, self._used)

    def _enter_window(self) -> None:
        now = self._desk.clock()
        if now >= self._ends_at:
            window = self.kind.window_at(now)
            self._begin_window(window, ends_at=self.kind.ends_at(window))

    def _begin_window(self, window: int, *, ends_at: float) -> None:
        self._window = window
        self._ends_at = ends_at
        self._used = self._good_until = 0.0
        self._told = 0
        self._left = float(self._limit)

    def _reached(self, now: float) -> LimitReached:
        return self.kind.reached(self.who, self._limit, seconds=self._ends_at - now)
