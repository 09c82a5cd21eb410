"""A load client: reads a task as JSON, sends its requests, prints what it found as JSON.

    python -m benchmarks.client < task.json

It is much faster than what it measures: it parses next to nothing, on bare sockets.
"""

import asyncio
import json
import os
import sys
import time
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

import uvloop

from benchmarks.answers import AnswerReader
from benchmarks.calls import TOKEN, Calls, Found, Task

PROBE_PAUSE = 0.01
HOST = "127.0.0.1"


@dataclass(slots=True)
class Countdown:
    """Waits until nothing is left."""

    left: int = 0
    over: asyncio.Event = field(default_factory=asyncio.Event)

    def done(self) -> None:
        self.left -= 1
        if not self.left:
            self.over.set()

    async def wait(self, patience: float) -> None:
        """Return when nothing is left, or when the patience is at its end."""
        if self.left:
            self.over.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self.over.wait(), patience)


@dataclass(slots=True)
class Tally:
    """What all connections found so far.

    Args:
        busy: The connections that wait for an answer.
        fresh: The connections that have not been answered yet.
    """

    answers: int = 0
    tokens: int = 0
    frames: int = 0
    busy: Countdown = field(default_factory=Countdown)
    fresh: Countdown = field(default_factory=Countdown)
    times: list[float] = field(default_factory=list[float])
    first_tokens: list[float] = field(default_factory=list[float])
    failures: Counter[str] = field(default_factory=Counter[str])
    is_over: bool = False


class Caller(asyncio.Protocol):
    """One connection that sends a request, and perhaps again when it is answered."""

    def __init__(self, calls: Calls, tally: Tally, *, pause: float = 0.0) -> None:
        self._calls = calls
        self._tally = tally
        self._pause = pause
        self._request = calls.request(HOST)
        self._reader = AnswerReader(TOKEN.encode(), calls.ending.encode() or b"\n\n\n")
        self._transport: asyncio.Transport | None = None
        self._begun = 0.0
        self._first = 0.0
        self._is_waiting = False
        self._is_fresh = True
        tally.fresh.left += 1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's does not inherit from it

    def send(self) -> None:
        """Send the request; a connection that was lost before is a failure."""
        assert self._transport is not None
        self._tally.busy.left += 1
        self._is_waiting = True
        self._reader.begin()
        self._first = 0.0
        self._begun = time.perf_counter()
        if self._transport.is_closing():
            self.connection_lost(None)
        else:
            self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        tokens, is_whole = self._reader.feed(data)
        if tokens:
            self._tally.tokens += tokens
            if not self._first:
                self._first = time.perf_counter()
        if is_whole:
            self._answered()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's
        if self._is_waiting:
            self._is_waiting = False
            self._tally.failures["connection lost"] += 1
            self._done()

    def give_up(self) -> None:
        """Close the connection; an answer that is not whole by now is a failure."""
        if self._is_waiting:
            self._is_waiting = False
            self._tally.failures["no whole answer in time"] += 1
        if self._transport is not None:
            self._transport.abort()

    def _answered(self) -> None:
        now = time.perf_counter()
        tally, reader = self._tally, self._reader
        self._is_waiting = False
        tally.answers += 1
        tally.frames += reader.frames.seen
        tally.times.append(now - self._begun)
        if self._first:
            tally.first_tokens.append(self._first - self._begun)
        if wrong := self._wrong():
            tally.failures[wrong] += 1
        elif self._calls.again and self._pause:
            asyncio.get_running_loop().call_later(self._pause, self._send_unless_over)
        elif self._calls.again:
            self._send_unless_over()
        self._done()

    def _done(self) -> None:
        """One answer less is waited for; the next is asked for before, if there is one."""
        self._tally.busy.done()
        if self._is_fresh:
            self._is_fresh = False
            self._tally.fresh.done()

    def _send_unless_over(self) -> None:
        if not self._tally.is_over:
            self.send()

    def _wrong(self) -> str:
        reader = self._reader
        if reader.status != 200:
            return f"status {reader.status}"
        if reader.tokens.seen != self._calls.tokens:
            return f"{reader.tokens.seen} tokens of {self._calls.tokens}"
        if self._calls.ending and not reader.endings.seen:
            return "a stream without its end"
        return ""


@dataclass(frozen=True, slots=True)
class Moment:
    """What was known at a time."""

    at: float
    answers: int
    tokens: int
    frames: int
    cpu: float

    @classmethod
    def now(cls, tally: Tally, pids: Sequence[int]) -> "Moment":
        cpu = processor_time(pids)
        return cls(time.perf_counter(), tally.answers, tally.tokens, tally.frames, cpu)


def processor_time(pids: Sequence[int]) -> float:
    """The processor time that processes have taken so far, in seconds."""
    ticks = 0
    for pid in pids:
        with suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


async def run(task: Task) -> Found:
    """Do it."""
    tally, probes = Tally(), Tally()
    callers = [
        await _connected(task.port, Caller(calls, tally))
        for calls in task.calls
        for _ in range(calls.connections)
    ]
    async with _probing(task, probes):
        first = Moment.now(tally, task.pids)
        for caller in callers:
            caller.send()
        if task.seconds:
            await asyncio.sleep(task.warm_up)
            await tally.fresh.wait(task.patience)
            tally.times.clear()
            tally.first_tokens.clear()
            first = Moment.now(tally, task.pids)
            await asyncio.sleep(task.seconds)
            last = Moment.now(tally, task.pids)
            tally.is_over = True
            await tally.busy.wait(task.patience)
        else:
            await tally.busy.wait(task.patience)
            last = Moment.now(tally, task.pids)
        probes.is_over = True
        await probes.busy.wait(task.patience)
        for caller in callers:
            caller.give_up()
        return _found(first, last, tally=tally, probes=probes)


@asynccontextmanager
async def _probing(task: Task, probes: Tally) -> AsyncGenerator[None]:
    """Ask for another path all the while, if there is one."""
    if not task.probe:
        yield
        return
    prober = Caller(Calls(task.probe, tokens=0), probes, pause=PROBE_PAUSE)
    await _connected(task.port, prober)
    prober.send()
    try:
        yield
    finally:
        prober.give_up()


async def _connected(port: int, caller: Caller) -> Caller:
    await asyncio.get_running_loop().create_connection(lambda: caller, HOST, port)
    return caller


def _found(first: Moment, last: Moment, *, tally: Tally, probes: Tally) -> Found:
    failures = Counter(tally.failures)
    failures.update({f"probe: {what}": times for what, times in probes.failures.items()})
    if probes.busy.left:
        failures["probe: no answer"] += 1
    return Found(
        seconds=last.at - first.at,
        answers=last.answers - first.answers,
        tokens=last.tokens - first.tokens,
        frames=last.frames - first.frames,
        cpu=last.cpu - first.cpu,
        times=tuple(sorted(tally.times)),
        first_tokens=tuple(sorted(tally.first_tokens)),
        probes=tuple(sorted(probes.times)),
        failures=dict(failures),
    )


def main() -> None:
    given: dict[str, Any] = json.load(sys.stdin)
    given["calls"] = tuple(Calls(**one) for one in given["calls"])
    task = Task(**given)
    json.dump(asdict(uvloop.run(run(task))), sys.stdout)


if __name__ == "__main__":
    main()
