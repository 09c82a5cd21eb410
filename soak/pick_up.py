"""Kills clients in the middle of stored streams; each goes on reading on the other worker.

    python -m soak.pick_up --times 200

A client reads a stream of a stored response up to a random event and closes its connection hard,
connects again until the other worker has it, and reads on from the event after its last one. Every
fourth is killed a second time. What all its connections gave has to be the stream that a client
gets who is left alone: every event once and in order, and the same text.
"""

import argparse
import asyncio
import json
import random
import socket
import statistics
import struct
import tempfile
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvloop

from soak.server import serving, table
from soak.traffic import written

PIECES, PAUSE = 200, 0.005
AT_ONCE = 8
PATIENCE_SECONDS = 60.0
MOST_CONNECTIONS = 200
LONGEST_AWAY_SECONDS = 0.3
NAME = "telling"
SOURCE = f"""
import asyncio
import os
from hayserve import BasePipelineWrapper

class PipelineWrapper(BasePipelineWrapper):
    def setup(self):
        pass

    async def run_api_async(self) -> int:
        return os.getpid()

    async def run_chat_completion_async(self, model, messages, body):
        return pieces()

async def pieces():
    for number in range({PIECES}):
        yield f"{{number}} "
        await asyncio.sleep({PAUSE})
"""

Event = dict[str, Any]


@dataclass
class Client:
    """One client, what it has read over all its connections, and what was wrong with that.

    Args:
        kills: How many events it has when it is killed, each time.
    """

    kills: list[int]
    events: list[Event] = field(default_factory=list[Event])
    workers: list[int] = field(default_factory=list[int])
    waits: list[float] = field(default_factory=list[float])  # seconds to the first event
    problem: str = ""


class Connection:
    """A connection of a client's own."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.worker = 0

    @classmethod
    async def open(cls, port: int) -> "Connection":
        """Connect, and ask who is at the other end."""
        connection = cls(*await asyncio.open_connection("127.0.0.1", port))
        head = await connection._ask(written("POST", f"/{NAME}/run", "{}", headers={}))
        length = int(head.partition(b"content-length: ")[2].split(b"\r\n")[0])
        connection.worker = json.loads(await connection._reader.readexactly(length))["result"]
        return connection

    async def events(self, request: bytes) -> AsyncGenerator[Event]:
        """The events of a stream that is asked for."""
        head = await self._ask(request)
        if b"text/event-stream" not in head:
            raise EOFError(f"no stream: {head!r}")
        rest = b""
        while size := int(await self._reader.readuntil(b"\r\n"), base=16):
            rest += (await self._reader.readexactly(size + 2))[:-2]
            *frames, rest = rest.split(b"\n\n")
            for frame in frames:
                if frame.startswith(b"event: "):
                    yield json.loads(frame.partition(b"\ndata: ")[2])

    async def _ask(self, request: bytes) -> bytes:
        self._writer.write(request)
        return await self._reader.readuntil(b"\r\n\r\n")

    def kill(self) -> None:
        """Be gone, as a process that was killed with its machine's network."""
        opened: socket.socket = self._writer.get_extra_info("socket")
        with suppress(OSError):
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()


class Soak:
    """Clients of one server.

    Args:
        port: The server's.
        seed: Of all that is random.
    """

    def __init__(self, port: int, *, seed: int) -> None:
        self._port = port
        self._random = random.Random(seed)
        self._undisturbed: list[Event] = []

    async def run(self, times: int) -> list[Client]:
        """Have so many clients, of whom a few are there at once."""
        alone = Client([])
        await self._serve(alone)
        self._undisturbed = alone.events
        clients = [Client(self._kills()) for _ in range(times)]
        waiting = iter(clients)

        async def some() -> None:
            for client in waiting:
                await self._serve(client)

        async with asyncio.TaskGroup() as tasks:
            for _ in range(AT_ONCE):
                tasks.create_task(some())
        return [alone, *clients]

    def _kills(self) -> list[int]:
        number = 2 if self._random.random() < 0.25 else 1
        return sorted(self._random.sample(range(1, len(self._undisturbed)), number))

    async def _serve(self, client: Client) -> None:
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                for most in [*client.kills, None]:
                    await self._read(client, most)
            client.problem = self._problem_in(client)
        except TimeoutError:
            client.problem = f"no end within {PATIENCE_SECONDS} s: {len(client.events)} events"
        except (OSError, EOFError, ValueError) as error:
            client.problem = f"{type(error).__name__}: {error}"

    async def _read(self, client: Client, most: int | None) -> None:
        """Read on, up to so many events, and be killed."""
        connection = await self._connect(client)
        client.workers.append(connection.worker)
        begun = time.monotonic()
        is_first = True
        try:
            async for event in connection.events(_request(client)):
                if is_first:
                    client.waits.append(time.monotonic() - begun)
                    is_first = False
                client.events.append(event)
                if len(client.events) == most:
                    break
        finally:
            connection.kill()
        if most is not None:
            await asyncio.sleep(self._random.uniform(0, LONGEST_AWAY_SECONDS))

    async def _connect(self, client: Client) -> Connection:
        """A connection to another worker than the last one."""
        for _ in range(MOST_CONNECTIONS):
            connection = await Connection.open(self._port)
            if not client.workers or connection.worker != client.workers[-1]:
                return connection
            connection.kill()
        raise EOFError(f"no other worker in {MOST_CONNECTIONS} connections")

    def _problem_in(self, client: Client) -> str:
        numbers = [event["sequence_number"] for event in client.events]
        if numbers != list(range(len(numbers))):
            return f"events are lost, doubled or out of order: {numbers}"
        if _text(client.events) != "".join(f"{number} " for number in range(PIECES)):
            return f"another text: {_text(client.events)!r}"
        kinds = [
            [event["type"] for event in events] for events in (client.events, self._undisturbed)
        ]
        if self._undisturbed and kinds[0] != kinds[1]:
            return f"other events: {kinds[0]}"
        whole = client.events[-1]["response"]["output"][0]["content"][0]["text"]
        return "" if whole == _text(client.events) else f"another whole text: {whole!r}"


def _request(client: Client) -> bytes:
    if client.events:
        id_, last = client.events[0]["response"]["id"], client.events[-1]["sequence_number"]
        path = f"/v1/responses/{id_}?stream=true&starting_after={last}"
        return written("GET", path, "", headers={})
    asked = {"model": NAME, "input": "Go", "store": True, "stream": True}
    return written("POST", "/v1/responses", json.dumps(asked), headers={})


def _text(events: Sequence[Event]) -> str:
    said = [event["delta"] for event in events if event["type"] == "response.output_text.delta"]
    return "".join(said)


def report(clients: Sequence[Client]) -> str:
    """What became of the clients, by how far they were when they were killed first."""
    alone, *killed = clients
    total = len(alone.events)
    step = -(-total // 4)
    titles = ("killed after event", "clients", "picked up", "first event after, median", "longest")
    rows: list[Sequence[object]] = [(*titles, "problems")]
    for start in range(1, total, step):
        some = [one for one in killed if start <= one.kills[0] < start + step]
        waits = [wait for one in some for wait in one.waits[1:]] or [0.0]
        rows.append(
            (
                f"{start} to {min(start + step, total) - 1}",
                len(some),
                sum(len(one.workers) - 1 for one in some),
                f"{statistics.median(waits):.3f} s",
                f"{max(waits):.3f} s",
                sum(bool(one.problem) for one in some),
            )
        )
    return table(rows)


def run(folder: Path, *, times: int = 200, seed: int = 0) -> list[Client]:
    """Kill so many clients."""
    wrapper = folder / "pipelines" / NAME / "pipeline_wrapper.py"
    wrapper.parent.mkdir(parents=True)
    wrapper.write_text(SOURCE)
    with serving(folder, "--workers", "2") as server:
        return uvloop.run(Soak(server.port, seed=seed).run(times))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--times", type=int, default=200)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        clients = run(Path(folder), times=given.times, seed=given.seed)
    print(report(clients))
    problems = [one.problem for one in clients if one.problem]
    print(f"seed {given.seed}: {given.times} clients, {len(problems)} problems {problems[:3]}")
    raise SystemExit(1 if problems else 0)


if __name__ == "__main__":
    main()
