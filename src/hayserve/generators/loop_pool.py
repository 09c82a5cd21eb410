"""The connections that all generators of an event loop share."""

import asyncio
import functools
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import suppress
from weakref import WeakSet

import httpx2

from hayserve.generators.dial import Origin, dial, origin_of
from hayserve.generators.http_answer import bytes_of
from hayserve.generators.loop_connection import LoopConnection

MOST_RESTING = 100
"""How many connections to one origin are kept that nobody uses."""


class LoopPool:
    """The connections of one event loop, by origin, and who uses them."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._resting: defaultdict[Origin, list[LoopConnection]] = defaultdict(list)
        self._users: WeakSet[LoopTransport] = WeakSet()

    def join(self, user: "LoopTransport") -> None:
        """As long as it has users, connections are kept."""
        self._users.add(user)

    def leave(self, user: "LoopTransport") -> None:
        """The last user closes what nobody uses, on the loop that it belongs to."""
        self._users.discard(user)
        if not self._users:
            with suppress(RuntimeError):  # the loop was closed meanwhile
                self._loop.call_soon_threadsafe(self._close_if_unused)

    async def connection(self, origin: Origin, *, patience: float | None) -> LoopConnection:
        """One that rests, or a new one."""
        resting = self._resting[origin]
        while resting:
            connection = resting.pop()
            if connection.resting:
                return connection

        def rest(connection: LoopConnection) -> bool:
            if len(resting) >= MOST_RESTING:
                resting[:] = [one for one in resting if one.resting]
            wanted = bool(self._users) and len(resting) < MOST_RESTING
            if wanted:
                resting.append(connection)
            return wanted

        return await dial(origin, protocol=lambda: LoopConnection(rest), patience=patience)

    def _close_if_unused(self) -> None:
        if self._users:
            return
        for resting in self._resting.values():
            while resting:
                resting.pop().close()


class LoopPools:
    """The pool of each event loop: a connection belongs to the loop that opened it."""

    def __init__(self) -> None:
        self._pools: dict[asyncio.AbstractEventLoop, LoopPool] = {}

    def here(self) -> LoopPool:
        """The pool of the running loop."""
        loop = asyncio.get_running_loop()
        pool = self._pools.get(loop)
        if pool is None:
            self._forget_closed_loops()
            pool = self._pools.setdefault(loop, LoopPool(loop))
        return pool

    def left_by(self, user: "LoopTransport") -> None:
        """`user` needs no connection of any loop any more."""
        self._forget_closed_loops()
        for pool in list(self._pools.values()):
            pool.leave(user)

    def _forget_closed_loops(self) -> None:
        for loop in [loop for loop in self._pools.copy() if loop.is_closed()]:
            self._pools.pop(loop, None)


@functools.cache
def loop_pools() -> LoopPools:
    """The pools of this process."""
    return LoopPools()


class LoopTransport(httpx2.AsyncBaseTransport):
    """What an `httpx2.AsyncClient` sends its requests by: the shared connections of the loop."""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        pool = loop_pools().here()
        pool.join(self)
        await request.aread()
        sent = bytes_of(request)
        timeouts = request.extensions.get("timeout", {})
        connection = await pool.connection(origin_of(request.url), patience=timeouts.get("connect"))
        patience = timeouts.get("read")
        try:
            answer = await connection.exchange(sent, patience=patience)
        except BaseException:
            connection.close()
            raise
        return answer.as_response(LoopBody(connection, patience))

    async def aclose(self) -> None:
        loop_pools().left_by(self)


class LoopBody(httpx2.AsyncByteStream):
    """The body of an answer as it comes in."""

    def __init__(self, connection: LoopConnection, patience: float | None) -> None:
        self._connection: LoopConnection | None = connection
        self._patience = patience

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while piece := await self.read():
            yield piece

    async def read(self) -> bytes:
        """The next piece, empty at the end."""
        if self._connection is None:
            return b""
        return await self._connection.read(patience=self._patience)

    async def aclose(self) -> None:
        if self._connection is not None:
            self._connection.leave()
            self._connection = None
