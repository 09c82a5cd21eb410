"""What stands before the routes of a room: everybody may do everything and owns what is theirs."""

from starlette.middleware import Middleware

from hayserve.access.identity import ANYBODY
from hayserve.server.callers import Callers, Door
from hayserve.server.gate import Gate
from hayserve.server.middleware import RunIds

OPEN = [
    Middleware(RunIds),
    Middleware(Gate, Callers(lambda _: ANYBODY, door=Door(lets_all=True)), None),
]
