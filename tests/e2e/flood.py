"""Clients of a server that leave at random moments."""

import asyncio
import random
from collections.abc import Sequence
from contextlib import suppress

from e2e.started import Process
from e2e.telling import Asked, Telling


class Flood:
    """Many clients that leave at random moments.

    Args:
        server: The server.
        kinds: The ways in which they ask, in turn.
        at_once: How many there are at a time.
    """

    def __init__(self, server: Process, *, kinds: Sequence[Asked], at_once: int) -> None:
        self._server = server
        self._kinds = kinds
        self._turn = asyncio.Semaphore(at_once)
        self._random = random.Random(4)
        self.statuses: list[bytes] = []

    async def run(self, runs: int) -> None:
        async with asyncio.TaskGroup() as tasks:
            for number in range(runs):
                asked = self._kinds[number % len(self._kinds)]
                request = Telling(self._server, asked).request(pause=0.01)
                tasks.create_task(self._leave_early(request))

    async def _leave_early(self, request: bytes) -> None:
        async with self._turn:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._server.port)
            writer.write(request)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._random.uniform(0, 0.15)):
                    self.statuses.append((await reader.readline())[9:12])
                    await reader.read()
            if self._random.random() < 0.5:
                writer.transport.abort()
            else:
                writer.close()
