"""Sends broken HTTP to a server, over many connections at once.

    python -m soak.fuzz_http --inputs 300000 --seed 1

Each input is all that is sent over one connection: malformed and smuggled requests, floods of
headers, bad chunks, forms that are torture, frames of WebSocket that mean nothing, bodies that stop
half-way. The server may refuse whatever it likes. It may not answer 500, die, write a traceback,
keep a connection waiting longer than its time limits say, grow, or stop to answer others.
"""

import argparse
import asyncio
import re
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import httpx2

from soak.fuzz_attacks import Attack, Attacks
from soak.schema import SOURCES
from soak.server import Server, is_alive, serving, table

AT_ONCE = 96
LIMIT_SECONDS = 2  # how long the server waits for headers, and for the rest of a body
# Beyond that, for what is between: headers and a body, one after the other, on a busy machine.
PATIENCE_SECONDS = 4 * LIMIT_SECONDS
SHORT_SECONDS = 0.5  # for most, who leave after that
PATIENT = 0.05
QUIET_SECONDS = 0.01
HEALTH_SECONDS = 1.0
MOST_GROWTH, MOST_DESCRIPTORS = 1.2, 10
_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")
_LOGGED = re.compile(rb'" (\d{3})$')
SETTINGS: Mapping[str, str] = {
    "HAYSERVE_HEADER_TIMEOUT": str(LIMIT_SECONDS),
    "HAYSERVE_BODY_TIMEOUT": str(LIMIT_SECONDS),
    "HAYSERVE_ACCESS_LOG": "true",
}
WRAPPERS: Mapping[str, str] = {
    **SOURCES,
    "upload": """
from starlette.datastructures import UploadFile
from hayserve import BasePipelineWrapper

class PipelineWrapper(BasePipelineWrapper):
    def setup(self):
        pass

    def run_api(self, files: list[UploadFile] | None = None, title: str = "", n: int = 0) -> str:
        return title
""",
}


@dataclass
class Seen:
    """What came of the inputs.

    Args:
        inputs: How many there were of each kind.
        statuses: How often each status was seen by clients.
        logged: How often each was logged by the server.
        ends: How connections ended, for each kind.
        wrong: What should not have been, and how often.
        first: The input that did it first.
        rss: The server's memory, in MB, after a tenth of the inputs and after all.
        descriptors: How many the server had open, before the first input and after the last.
        health: How long `/healthz` took at most, in seconds.
    """

    inputs: Counter[str] = field(default_factory=Counter[str])
    statuses: Counter[int] = field(default_factory=Counter[int])
    logged: Counter[int] = field(default_factory=Counter[int])
    ends: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    wrong: Counter[str] = field(default_factory=Counter[str])
    first: dict[str, Attack] = field(default_factory=dict[str, Attack])
    rss: list[float] = field(default_factory=list[float])
    descriptors: list[int] = field(default_factory=list[int])
    health: float = 0.0
    seconds: float = 0.0

    def note(self, what: str, attack: Attack | None = None) -> None:
        self.wrong[what] += 1
        if attack is not None:
            self.first.setdefault(what, attack)

    def __str__(self) -> str:
        ends = sorted({end for _, end in self.ends})
        rows = [
            (kind, count, *(self.ends[kind, end] for end in ends))
            for kind, count in sorted(self.inputs.items())
        ]
        totals = [sum(self.ends[kind, end] for kind in self.inputs) for end in ends]
        statuses = ", ".join(f"{status}: {n}" for status, n in sorted(self.logged.items()))
        memory = " -> ".join(f"{size:.0f}" for size in self.rss)
        open_ = " -> ".join(map(str, self.descriptors))
        problems = [
            f"{count} times {what}: {self.first[what].pieces if what in self.first else ''}"
            for what, count in self.wrong.most_common()
        ]
        return "\n".join(
            [
                table([("kind", "inputs", *ends), *rows, ("all", self.inputs.total(), *totals)]),
                f"statuses in the server's log: {statuses}",
                f"memory {memory} MB, descriptors {open_}, {self.seconds:.0f} s in all",
                f"/healthz took at most {self.health:.3f} s",
                *problems,
            ]
        )


class Fuzz:
    """The clients.

    Args:
        server: What they talk to.
        seed: Of all that is random.
    """

    def __init__(self, server: Server, *, seed: int) -> None:
        self.seen = Seen()
        self._server = server
        self._seed = seed
        self._attacks = Attacks((server.folder / "key").read_text())
        self._left = 0
        self._next = 0

    async def run(self, inputs: int) -> Seen:
        """Send so many."""
        begun = time.monotonic()
        self._left = inputs
        self.seen.descriptors.append(self._descriptors())
        health = asyncio.ensure_future(self._look_at_health())
        async with asyncio.TaskGroup() as clients:
            for _ in range(min(AT_ONCE, inputs)):
                clients.create_task(self._send_many(inputs))
        await self._settle()
        health.cancel()
        self.seen.rss.append(self._server.rss())
        self.seen.seconds = time.monotonic() - begun
        self._judge()
        return self.seen

    async def _send_many(self, inputs: int) -> None:
        while self._left:
            self._left -= 1
            self._next += 1
            # Not one for all: which client is next is a matter of time.
            chance = Random(f"{self._seed} {self._next}")
            await self._send(self._attacks.make(chance), is_patient=chance.random() < PATIENT)
            if self.seen.inputs.total() == max(1, inputs // 10):
                self.seen.rss.append(self._server.rss())
            if self.seen.inputs.total() % 10_000 == 0:
                print(f"{self.seen.inputs.total()} inputs, {dict(self.seen.wrong)}", flush=True)

    async def _send(self, attack: Attack, *, is_patient: bool) -> None:
        seen = self.seen
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._server.port)
        except OSError as error:
            seen.note(f"no connection: {type(error).__name__}", attack)
            await asyncio.sleep(0.5)
            return
        came = b""
        try:
            came, end = await self._talk(attack, reader, writer, is_patient=is_patient)
        except OSError:  # it has closed the connection while something was sent
            end = "reset"
        finally:
            writer.transport.abort()
        seen.inputs[attack.name] += 1
        seen.ends[attack.name, end] += 1
        if end == "hung":
            seen.note("a connection that hung", attack)
        for status in map(int, _STATUS.findall(came)):
            seen.statuses[status] += 1
            if status >= 500 and status != 503:
                seen.note(f"an answer {status}", attack)

    async def _talk(
        self,
        attack: Attack,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        is_patient: bool,
    ) -> tuple[bytes, str]:
        """What was answered, and how it ended."""
        came = b""
        for piece in attack.pieces:
            writer.write(piece)
            with suppress(TimeoutError):  # it need not read what it has refused
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await writer.drain()
            if attack.pause:
                await asyncio.sleep(attack.pause)
        patience = PATIENCE_SECONDS if is_patient else SHORT_SECONDS
        while True:
            try:
                async with asyncio.timeout(patience):
                    some = await reader.read(65_536)
            except TimeoutError:
                return came, "answered" if came else "hung" if is_patient else "left"
            if not some:
                return came, "answered" if came else "closed"
            came, patience = came + some, QUIET_SECONDS

    async def _look_at_health(self) -> None:
        async with httpx2.AsyncClient(timeout=10, trust_env=False) as http:
            while True:
                begun = time.monotonic()
                try:
                    answer = await http.get(f"{self._server.url}/healthz")
                    status = answer.status_code
                except httpx2.HTTPError as error:
                    self.seen.note(f"/healthz: {type(error).__name__}")
                else:
                    if status != 200:
                        self.seen.note(f"/healthz: {status}")
                took = time.monotonic() - begun
                self.seen.health = max(self.seen.health, took)
                if took > HEALTH_SECONDS:
                    self.seen.note("/healthz was slow")
                await asyncio.sleep(0.2)

    async def _settle(self) -> None:
        """Wait until the server has noticed that all have left."""
        deadline = time.monotonic() + 30
        most = self.seen.descriptors[0] + MOST_DESCRIPTORS
        while self._descriptors() > most and time.monotonic() < deadline:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.2)
        self.seen.descriptors.append(self._descriptors())

    def _descriptors(self) -> int:
        pids = self._server.workers() or [self._server.pid]
        return sum(len([*Path(f"/proc/{pid}/fd").iterdir()]) for pid in pids)

    def judge_size(self) -> None:
        """Note it if the server has grown."""
        if self.seen.rss[-1] > MOST_GROWTH * self.seen.rss[0]:
            self.seen.note("memory has grown")

    def _judge(self) -> None:
        seen = self.seen
        if not is_alive(self._server.pid):
            seen.note("the server died")
        if seen.descriptors[-1] > seen.descriptors[0] + MOST_DESCRIPTORS:
            seen.note("descriptors were left open")
        for line in self._server.log.read_bytes().splitlines():
            if found := _LOGGED.search(line):
                seen.logged[int(found[1])] += 1
                if int(found[1]) == 500:
                    seen.note(f"logged: {line[-200:].decode(errors='replace')}")
            elif line.lstrip().startswith(b"Traceback"):
                seen.note("a traceback in the log")


def run(folder: Path, *, inputs: int, seed: int, is_judged_by_size: bool = True) -> Seen:
    """Send so many inputs to a server of its own; what it grows by means nothing after a few."""
    for name, source in WRAPPERS.items():
        wrapper = folder / "pipelines" / name / "pipeline_wrapper.py"
        wrapper.parent.mkdir(parents=True)
        wrapper.write_text(source)
    with serving(folder, settings=SETTINGS) as server:
        fuzz = Fuzz(server, seed=seed)
        seen = asyncio.run(fuzz.run(inputs))
        if is_judged_by_size:
            fuzz.judge_size()
        return seen


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--inputs", type=int, default=300_000)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--folder", type=Path, help="for the server's log and data")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        seen = run(folder, inputs=given.inputs, seed=given.seed)
    print(seen)
    print(f"seed {given.seed}: {seen.inputs.total()} inputs, {seen.wrong.total()} wrong")
    raise SystemExit(1 if seen.wrong else 0)


if __name__ == "__main__":
    main()
