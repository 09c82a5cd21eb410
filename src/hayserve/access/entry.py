"""Lets runs begin, for those who may run and have not used up what they may."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from hayserve.access.bill import NO_BILL, Bill
from hayserve.access.identity import IDENTITY, Identity, identity_in
from hayserve.access.limits import Limits
from hayserve.access.rules import Rule, check
from hayserve.access.usage import UsageBook

# Where the bill of a request's run is, in its `state`, until the run has it.
BILL = "bill"
# What finds out anew who has opened a connection, which may stay open for long.
ASK_AGAIN = "ask_again"

Scope = MutableMapping[str, Any]
AskAgain = Callable[[], Awaitable[Identity]]


class Entry:
    """Lets runs begin.

    Args:
        limits: What callers may use.
        book: Where it is noted what they use.
    """

    def __init__(self, limits: Limits, book: UsageBook | None = None) -> None:
        self._limits = limits
        self._book = book

    def open(self, scope: Scope) -> bool:
        """Let the run of a request begin; False if `open_slowly` has to be asked.

        Raises:
            Unauthorized: It is not known who asks.
            Forbidden: That one may run nothing.
            LimitReached: Or has used what it may.
        """
        check(scope, Rule.RUN)
        identity = identity_in(scope)
        tab = self._limits.open_tab(identity)
        if tab is None:
            return False
        scope["state"][BILL] = Bill(identity, tab, self._book)
        return True

    async def open_slowly(self, scope: Scope) -> None:
        """The same where the database has to be asked.

        Raises:
            LimitReached: The caller has used what it may.
            StorageUnavailable: The database does not answer.
        """
        identity = identity_in(scope)
        tab = await self._limits.open_tab_slowly(identity)
        scope["state"][BILL] = Bill(identity, tab, self._book)

    async def open_again(self, scope: Scope) -> None:
        """The same for one more run over a connection: a key may have been revoked meanwhile.

        Raises:
            As from `open` and `open_slowly`.
        """
        state = scope["state"]
        ask_again: AskAgain | None = state.get(ASK_AGAIN)
        if ask_again is not None:
            state[IDENTITY] = await ask_again()
        check(scope, Rule.RUN)
        identity = identity_in(scope)
        if not self._limits.count(identity):
            await self._limits.count_slowly(identity)
        if not self.open(scope):
            await self.open_slowly(scope)


def take_bill(scope: Scope) -> Bill:
    """The bill of a request's run, for the run that then has it."""
    bill: Bill = scope["state"].pop(BILL, NO_BILL)
    return bill


def drop_bill(scope: Scope) -> None:
    """Let others run where a request has come to no run."""
    take_bill(scope).drop()
