"""What stands before the routes of a room: everybody may do everything and owns what is theirs."""

from starlette.middleware import Middleware

from hayserve.access.bank import Bank
from hayserve.access.entry import Entry
from hayserve.access.identity import ANYBODY
from hayserve.access.limits import Limits
from hayserve.server.callers import Callers, Door
from hayserve.server.gate import Gate
from hayserve.server.middleware import RunIds
from hayserve.storage.database import Database

OPEN = [
    Middleware(RunIds),
    Middleware(Gate, Callers(lambda _: ANYBODY, door=Door(lets_all=True)), None),
]


def entrance() -> Entry:
    """Lets everybody in whom nothing limits."""
    return Entry(Limits(Bank(Database("sqlite://"), worker="w1", live=list)))
