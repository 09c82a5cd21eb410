"""What one worker has of a budget that is asked for before it is used: requests, and runs."""

import math
from typing import NamedTuple

import anyio

from hayserve.access.bank import Account, Order, Share
from hayserve.access.desk import SETTLE_SECONDS, Desk
from hayserve.access.kinds import Kind
from hayserve.errors import LimitReached

# Who holds something for so long without settling may be taken for dead before long, and others
# may then have its runs.
_GOOD_SECONDS = 5.0
# What another worker holds unused, or has got back, is known by then, and some milliseconds.
_FREED_SECONDS = SETTLE_SECONDS + 0.15
# So long for one that is slow to settle.
_PATIENCE_SECONDS = 1.0
_PAUSE_SECONDS = 0.1


class _Look(NamedTuple):
    """A look at the bank that found nothing.

    Args:
        at: When, as the event loop counts.
        patience: Who asked so long before it is refused by it.
    """

    at: float
    patience: float


_NO_LOOK = _Look(-math.inf, 0)


class Purse:
    """What this worker has of one budget of a key. It belongs on the event loop.

    Args:
        desk: Where it is settled.
        kind: What is limited.
        key: Whose budget it is.
        who: What that one is called in errors.
        limit: How much there is for all workers together.
    """

    __slots__ = (
        "_desk",
        "_ends_at",
        "_freed",
        "_good_until",
        "_is_in_use",
        "_left",
        "_limit",
        "_look",
        "_refused_until",
        "_spare",
        "_told",
        "_used",
        "_waiting",
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
        self._freed = anyio.Event()
        self._waiting = 0
        self._is_in_use = False
        self._good_until = self._refused_until = 0.0
        self._window, self._ends_at = 0, 0.0
        self._used = self._spare = 0.0
        self._told: tuple[float, float] | None = (0, 0)
        self._left = float(limit)
        self._look = _NO_LOOK

    def take(self) -> bool:
        """Take one, if that is known to be allowed without asking the bank.

        Raises:
            LimitReached: It is known that there are none.
        """
        now = self._desk.clock()
        if self._spare >= 1 and now < self._good_until:
            self._spare -= 1
            self._used += 1
            self._is_in_use = True
            return True
        if now < self._refused_until:
            raise self._reached(now)
        return False

    async def take_slowly(self) -> None:
        """Take one, and ask the bank for it if need be; those who wait ask together.

        Raises:
            LimitReached: There are none, in any worker; to find that out may take a second.
            StorageUnavailable: The database does not answer.
        """
        arrived = anyio.current_time()
        self._waiting += 1
        try:
            async with self.turn:
                while not self._takes():
                    if arrived + self._look.patience <= self._look.at:
                        raise self._reached(self._desk.clock())
                    await self._look_again()
        finally:
            self._waiting -= 1

    def give_back(self) -> None:
        """Give back one that was taken."""
        self._used -= 1
        self._spare += 1
        self._freed.set()
        self._desk.open(self)

    def limit_to(self, limit: int) -> None:
        """Have another limit from now on."""
        self._limit = limit
        self._refused_until = 0.0

    @property
    def limit(self) -> int:
        return self._limit

    def remaining(self) -> int:
        """How many are left, as far as this worker knows."""
        if self._desk.clock() >= self._ends_at:
            return self._limit
        return max(0, math.floor(self._left + self._spare))

    def is_cold(self) -> bool:
        """Whether it is not known if one may be taken."""
        now = self._desk.clock()
        return (self._spare < 1 or now >= self._good_until) and now >= self._refused_until

    def is_idle(self) -> bool:
        """Whether nothing has to be remembered of it."""
        self._enter_window()
        is_at_rest = not self._waiting and not self._desk.has_open(self)
        return is_at_rest and not self._used and not self._spare

    def expect(self) -> None:
        self._is_in_use = True
        self._desk.open(self)

    def begin(self, *, keeps: bool) -> Order | None:
        self._enter_window()
        is_in_use = keeps and self._is_in_use
        self._is_in_use = False
        if not is_in_use and self._told == (self._used, 0) and not self._spare:
            return None
        return self._order(keep=self._spare if is_in_use else 0, ahead=is_in_use)

    def end(self, order: Order, share: Share) -> bool:
        if order.account.window != self._window:
            return False
        # In the meantime some may have been taken of what was kept, or given back.
        self._spare = order.used + share.spare - self._used
        self._told = (order.used, share.spare)
        self._left = share.left
        self._good_until = min(self._desk.clock() + _GOOD_SECONDS, self._ends_at)
        return share.left < 1 <= self._spare

    def _takes(self) -> bool:
        self._enter_window()
        return self.take()

    async def _look_again(self) -> None:
        """Ask the bank for all who wait; soon after a look that found nothing, wait before that."""
        pause = self._look.at + _PAUSE_SECONDS - anyio.current_time()
        if pause > 0 and await self._gets_one_back(pause):
            return
        at = anyio.current_time()
        order = self._order(wanted=self._waiting, ahead=True)
        self._desk.open(self)
        (share,) = await self._desk.ask([order])
        self.end(order, share)
        if self._spare >= 1:
            self._look = _NO_LOOK
        elif order.account.window == self._window:
            self._look = _Look(at, self._patience(share))
            if not share.held and self.kind.seconds:
                self._refused_until = self._ends_at

    async def _gets_one_back(self, seconds: float) -> bool:
        """Whether one is given back here in so many seconds."""
        self._freed = anyio.Event()
        with anyio.move_on_after(seconds) as waiting:
            await self._freed.wait()
        return not waiting.cancelled_caught

    def _patience(self, share: Share) -> float:
        if share.held:
            return _PATIENCE_SECONDS
        # What is given back is known there first.
        return _FREED_SECONDS if share.used and not self.kind.seconds else 0

    def _order(self, *, keep: float = 0, wanted: float = 0, ahead: bool = False) -> Order:
        """What to ask; until that is answered only what is kept may be used."""
        self._spare = keep
        self._told = None
        account = Account(self.key, self.kind.name, self._window)
        return Order(account, self._limit, self._used, keep, wanted, ahead)

    def _enter_window(self) -> None:
        now = self._desk.clock()
        if now >= self._ends_at:
            window = self.kind.window_at(now)
            self._begin_window(window, ends_at=self.kind.ends_at(window))

    def _begin_window(self, window: int, *, ends_at: float) -> None:
        self._window = window
        self._ends_at = ends_at
        self._used = self._spare = 0.0
        self._told = (0, 0)
        self._left = float(self._limit)
        self._look = _NO_LOOK
        self._refused_until = 0.0

    def _reached(self, now: float) -> LimitReached:
        return self.kind.reached(self.who, self._limit, seconds=self._ends_at - now)
