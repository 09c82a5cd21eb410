"""What one worker has of all budgets of one key, and what its runs are charged on."""

from hayserve.access.budget import NO_BUDGET, Budget
from hayserve.access.desk import Desk
from hayserve.access.identity import Identity
from hayserve.access.kinds import REQUESTS, RUN_SECONDS, RUNS, TOKENS, Kind
from hayserve.access.meter import Meter
from hayserve.access.purse import Purse


class Tab:
    """What one run is charged on. It is over with the first of `close` and `drop`.

    Args:
        wallet: Whose run it is; None where nobody pays.
        runs: What it gives back to when it is over; None if nothing.
    """

    __slots__ = ("_runs", "_wallet")

    def __init__(self, wallet: "Wallet | None", runs: Purse | None) -> None:
        self._wallet = wallet
        self._runs = runs

    def close(self, *, seconds: float, tokens: int) -> None:
        """The run has ended: it makes room for another, and is paid.

        Args:
            seconds: How long it took.
            tokens: How many tokens it used.
        """
        if (wallet := self._wallet) is not None:
            self.drop()
            if wallet.seconds is not None:
                wallet.seconds.charge(seconds)
            if wallet.tokens is not None:
                wallet.tokens.charge(tokens)

    def drop(self) -> None:
        """No run began, or none that is to be paid: only make room for another."""
        if (wallet := self._wallet) is not None:
            self._wallet = None
            wallet.open_tabs -= 1
            if self._runs is not None:
                self._runs.give_back()


# For those whom nothing limits.
NO_TAB = Tab(None, None)


class Wallet:
    """What this worker has of the budgets of one key. It belongs on the event loop.

    Args:
        desk: Where they are settled.
        identity: Whose they are.
    """

    __slots__ = (
        "_desk",
        "_key",
        "_meters",
        "_purses",
        "_who",
        "budget",
        "open_tabs",
        "requests",
        "runs",
        "seconds",
        "tokens",
    )

    def __init__(self, desk: Desk, identity: Identity) -> None:
        self._desk = desk
        self._key = identity.owner
        self._who = f"The {identity.caller.kind} {identity.caller.name!r}"
        self._purses: dict[Kind, Purse] = {}
        self._meters: dict[Kind, Meter] = {}
        self.open_tabs = 0
        self.budget = NO_BUDGET
        self.limit_to(identity.budget)

    def limit_to(self, budget: Budget) -> None:
        """Have that budget from now on."""
        self.requests = self._purse(REQUESTS, budget.requests_per_minute)
        self.runs = self._purse(RUNS, budget.concurrent_runs)
        self.tokens = self._meter(TOKENS, budget.tokens_per_day)
        self.seconds = self._meter(RUN_SECONDS, budget.run_seconds_per_day)
        self.budget = budget

    def open_tab(self) -> Tab | None:
        """What a run is charged on that may begin; None if the bank has to be asked.

        Raises:
            LimitReached: It may not.
        """
        if self.tokens is not None and not self.tokens.check():
            return None
        if self.seconds is not None and not self.seconds.check():
            return None
        if self.runs is not None and not self.runs.take():
            return None
        self.open_tabs += 1
        return Tab(self, self.runs)

    async def count_slowly(self) -> None:
        """Count a request.

        Raises:
            LimitReached: There were as many as may be.
            StorageUnavailable: The database does not answer.
        """
        await self._warm()
        if self.requests is not None:
            await self.requests.take_slowly()

    async def open_tab_slowly(self) -> Tab:
        """What a run is charged on that may begin.

        Raises:
            LimitReached: It may not.
            StorageUnavailable: The database does not answer.
        """
        self.open_tabs += 1
        try:
            await self._warm()
            for meter in (self.tokens, self.seconds):
                if meter is not None:
                    await meter.check_slowly()
            if (runs := self.runs) is not None:
                await runs.take_slowly()
            return Tab(self, runs)
        except BaseException:
            self.open_tabs -= 1
            raise

    def is_idle(self) -> bool:
        """Whether nothing has to be remembered of it."""
        return not self.open_tabs and all(holding.is_idle() for holding in self._holdings())

    async def _warm(self) -> None:
        """Ask once for all that a request may need."""
        cold = [holding for holding in self._holdings() if holding.is_cold()]
        if len(cold) > 1:
            await self._desk.warm(cold)

    def _holdings(self) -> tuple[Purse | Meter, ...]:
        return (*self._purses.values(), *self._meters.values())

    def _purse(self, kind: Kind, limit: int | None) -> Purse | None:
        if limit is None:
            return None
        if (purse := self._purses.get(kind)) is None:
            purse = Purse(self._desk, kind, key=self._key, who=self._who, limit=limit)
            self._purses[kind] = purse
        purse.limit_to(limit)
        return purse

    def _meter(self, kind: Kind, limit: int | None) -> Meter | None:
        if limit is None:
            return None
        if (meter := self._meters.get(kind)) is None:
            meter = Meter(self._desk, kind, key=self._key, who=self._who, limit=limit)
            self._meters[kind] = meter
        meter.limit_to(limit)
        return meter
