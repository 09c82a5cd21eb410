"""Where one worker settles with the bank what it has of all budgets."""

import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Protocol

import anyio
import anyio.to_thread

from hayserve.access.bank import Bank, Order, Share
from hayserve.errors import StorageUnavailable

# How soon all workers know what one has used or given back.
SETTLE_SECONDS = 0.25
_PURGE_SECONDS = 60.0
_MOST_AT_ONCE = 200
_THREADS = 8


class Holding(Protocol):
    """What this worker has of one budget."""

    @property
    def turn(self) -> anyio.Lock:
        """Who asks the bank for it has this."""
        ...

    def expect(self) -> None:
        """It is about to be used."""
        ...

    def begin(self, *, keeps: bool) -> Order | None:
        """What to ask of the bank; None if there is nothing, and then it is not asked again.

        Args:
            keeps: Whether it may hold on to what it is likely to use soon.
        """
        ...

    def end(self, order: Order, share: Share) -> bool:
        """Take what the bank gave. If it does not answer, nobody knows what it did.

        Returns:
            Whether others may be in need of what it has kept.
        """
        ...


class Desk:
    """Settles what is open, four times a second. It belongs on the event loop.

    Args:
        bank: Who knows what all workers have.
        clock: Seconds since 1970.
    """

    def __init__(self, bank: Bank, *, clock: Callable[[], float] = time.time) -> None:
        self._bank = bank
        self._open: dict[Holding, None] = {}
        self._threads = anyio.CapacityLimiter(_THREADS)
        self.clock = clock

    def open(self, holding: Holding) -> None:
        """Settle that one, too, until there is nothing to ask."""
        self._open[holding] = None

    def has_open(self, holding: Holding) -> bool:
        return holding in self._open

    async def ask(self, orders: Sequence[Order]) -> Sequence[Share]:
        """Ask the bank.

        Raises:
            StorageUnavailable: It does not answer.
        """
        settle = partial(self._bank.settle, orders)
        return await anyio.to_thread.run_sync(settle, limiter=self._threads)

    @asynccontextmanager
    async def running(self, *, tidy: Callable[[], object]) -> AsyncGenerator[None]:
        """Settle for as long as the block lasts, and give back what is left at its end.

        Args:
            tidy: Called each minute.
        """
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._settle_often)
                tasks.start_soon(self._purge_often, tidy)
                try:
                    yield
                finally:
                    tasks.cancel_scope.cancel()
        finally:
            # Not before the tasks have ended: they may be settling some just now.
            with anyio.CancelScope(shield=True):
                await self.settle(keeps=False)

    async def settle(self, *, keeps: bool = True) -> None:
        """Settle what is open, once.

        Args:
            keeps: Whether to hold on to what is likely to be used soon.
        """
        opened = [*self._open]
        for start in range(0, len(opened), _MOST_AT_ONCE):
            await self._settle_in_turn(opened[start : start + _MOST_AT_ONCE], keeps=keeps)

    async def warm(self, holdings: Sequence[Holding]) -> None:
        """Settle those that are about to be used, together rather than one after the other."""
        for one in holdings:
            one.expect()
        await self._settle_in_turn(holdings, keeps=True)

    async def purge(self) -> None:
        """Delete what nobody needs any more."""
        with suppress(StorageUnavailable):  # which is logged, and the next one deletes it
            await anyio.to_thread.run_sync(self._bank.purge, limiter=self._threads)

    async def _settle_in_turn(self, holdings: Sequence[Holding], *, keeps: bool) -> None:
        taken = [one for one in holdings if _take_turn(one)]
        try:
            kept = await self._settle(taken, keeps=keeps)
            # Somebody else may wait for just that.
            await self._settle(kept, keeps=False)
        finally:
            for one in taken:
                one.turn.release()

    async def _settle(self, holdings: Sequence[Holding], *, keeps: bool) -> list[Holding]:
        """Those that have kept what others may be in need of."""
        orders: dict[Holding, Order] = {}
        for one in holdings:
            order = one.begin(keeps=keeps)
            if order is None:
                self._open.pop(one, None)
            else:
                orders[one] = order
        if not orders:
            return []
        try:
            shares = await self.ask([*orders.values()])
        except StorageUnavailable:  # which is logged; all is still open
            return []
        ended = zip(orders.items(), shares, strict=True)
        return [one for (one, order), share in ended if one.end(order, share)]

    async def _settle_often(self) -> None:
        while True:
            await anyio.sleep(SETTLE_SECONDS)
            await self.settle()

    async def _purge_often(self, tidy: Callable[[], object]) -> None:
        while True:
            await anyio.sleep(_PURGE_SECONDS)
            tidy()
            await self.purge()


def _take_turn(holding: Holding) -> bool:
    """False if somebody is asking the bank for it now."""
    try:
        holding.turn.acquire_nowait()
    except anyio.WouldBlock:
        return False
    return True
