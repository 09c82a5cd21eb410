"""The parts that say who may do what, and how much of it, made from the settings."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from hayserve.access.bank import Bank
from hayserve.access.entry import Entry
from hayserve.access.keyring import Keyring
from hayserve.access.keys import Keys
from hayserve.access.limits import Limits
from hayserve.access.usage import UsageBook
from hayserve.deployments.members import Members
from hayserve.deployments.pulse import Pulse
from hayserve.storage.database import Database


@dataclass(frozen=True, slots=True)
class Guarding:
    """What knows callers and counts what they use.

    Args:
        keys: The keys, as they are kept.
        keyring: The same as each request needs them.
        limits: What callers may use.
        book: What they have used.
        entry: Lets runs begin.
    """

    keys: Keys
    keyring: Keyring
    limits: Limits
    book: UsageBook
    entry: Entry

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Follow and write down what changes for as long as the block lasts."""
        async with AsyncExitStack() as stack:
            for part in (self.keyring, self.book, self.limits):
                await stack.enter_async_context(part.running())
            yield


def guarding(database: Database, *, members: Members, pulse: Pulse) -> Guarding:
    """Make them; none of them does anything yet."""
    keys, book = Keys(database), UsageBook(database)
    limits = Limits(Bank(database, worker=members.id, live=members.live))
    return Guarding(keys, Keyring(keys, pulse=pulse), limits, book, Entry(limits, book))
