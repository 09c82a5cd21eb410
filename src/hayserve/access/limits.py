"""Keeps callers within what their keys may use."""

import math
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from functools import lru_cache

from hayserve.access.bank import Bank
from hayserve.access.budget import NO_BUDGET
from hayserve.access.desk import Desk
from hayserve.access.identity import Identity
from hayserve.access.kinds import duration
from hayserve.access.meter import Meter
from hayserve.access.purse import Purse
from hayserve.access.wallet import NO_TAB, Tab, Wallet

Headers = list[tuple[bytes, bytes]]
_Names = tuple[bytes, bytes, bytes]
_MOST_REMEMBERED = 256
_OF_REQUESTS: _Names = (
    b"x-ratelimit-limit-requests",
    b"x-ratelimit-remaining-requests",
    b"x-ratelimit-reset-requests",
)
_OF_TOKENS: _Names = (
    b"x-ratelimit-limit-tokens",
    b"x-ratelimit-remaining-tokens",
    b"x-ratelimit-reset-tokens",
)


class Limits:
    """Counts what callers use, and refuses those who have used as much as they may.

    The limits hold for all workers together, exactly: of requests and of runs at a time never more
    are let in than the limit says, and nobody is refused while any worker has some left, unless
    that worker does not answer within a second. Tokens and seconds are known when a run has ended;
    who has used more than the limit by then begins no other run, on any worker, half a second
    later. Callers without a budget are not counted.

    What may be known without asking the database is answered at once; `count_slowly` and
    `open_tab_slowly` are for when it may not. All of it belongs on the event loop.

    Args:
        bank: Who knows what all workers have.
        clock: Seconds since 1970.
    """

    def __init__(self, bank: Bank, *, clock: Callable[[], float] = time.time) -> None:
        self._desk = Desk(bank, clock=clock)
        self._wallets: dict[str, Wallet] = {}

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Tell the other workers what is used, and give back what is not, while the block lasts."""
        async with self._desk.running(tidy=self.forget):
            yield

    def count(self, identity: Identity) -> bool:
        """Count a request; False if `count_slowly` has to.

        Raises:
            LimitReached: The caller has sent as many as it may in this minute.
        """
        if identity.budget is NO_BUDGET:
            return True
        requests = self._wallet(identity).requests
        return requests is None or requests.take()

    async def count_slowly(self, identity: Identity) -> None:
        """Count a request that `count` has not counted.

        Raises:
            LimitReached: The caller has sent as many as it may in this minute.
            StorageUnavailable: The database does not answer.
        """
        await self._wallet(identity).count_slowly()

    def open_tab(self, identity: Identity) -> Tab | None:
        """Begin a run, if it may begin; None if `open_tab_slowly` has to.

        Raises:
            LimitReached: The caller has used what it may.
        """
        if identity.budget is NO_BUDGET:
            return NO_TAB
        return self._wallet(identity).open_tab()

    async def open_tab_slowly(self, identity: Identity) -> Tab:
        """Begin a run that `open_tab` has not begun.

        Raises:
            LimitReached: The caller has used what it may.
            StorageUnavailable: The database does not answer.
        """
        return await self._wallet(identity).open_tab_slowly()

    def headers(self, identity: Identity) -> Headers:
        """What tells the caller how much is left, as OpenAI does; of requests and of tokens.

        Source: https://platform.openai.com/docs/guides/rate-limits#rate-limits-in-headers
        """
        if identity.budget is NO_BUDGET:
            return []
        wallet = self._wallet(identity)
        now = self._desk.clock()
        return [
            *_headers(_OF_REQUESTS, wallet.requests, now),
            *_headers(_OF_TOKENS, wallet.tokens, now),
        ]

    @property
    def known(self) -> int:
        """Of how many callers something is remembered."""
        return len(self._wallets)

    def forget(self) -> None:
        """Forget those of whom nothing has to be remembered."""
        for owner, wallet in [*self._wallets.items()]:
            if wallet.is_idle():
                del self._wallets[owner]

    def _wallet(self, identity: Identity) -> Wallet:
        wallet = self._wallets.get(identity.owner)
        if wallet is None:
            wallet = self._wallets[identity.owner] = Wallet(self._desk, identity)
        elif wallet.budget is not identity.budget:
            wallet.limit_to(identity.budget)
        return wallet


def _headers(names: _Names, holding: Purse | Meter | None, now: float) -> Headers:
    if holding is None:
        return []
    kind = holding.kind
    limit, remaining, reset = names
    return [
        (limit, _number(holding.limit)),
        (remaining, b"%d" % holding.remaining()),
        (reset, _reset(math.ceil(kind.ends_at(kind.window_at(now)) - now))),
    ]


# Most answers say the same of these as the one before.
@lru_cache(_MOST_REMEMBERED)
def _number(number: int) -> bytes:
    return b"%d" % number


@lru_cache(_MOST_REMEMBERED)
def _reset(seconds: int) -> bytes:
    return duration(max(1, seconds)).encode()
