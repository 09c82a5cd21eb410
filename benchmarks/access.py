"""Measures what keys and budgets cost a request: with both, and with neither, in one run.

    python -m benchmarks.access
    python -m benchmarks.access --source OLDER   # and beside another checkout of hayserve

Each round asks one server after the other for the same, from 32 connections; what is printed is the
median of the rounds. `on` requires a key, which has a budget of each kind; `off` is `--insecure`.
"""

import argparse
import statistics
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from benchmarks.loads import load, rates, rest
from benchmarks.servers import Kind, Server, hayserve, running

WRAPPER = "rest_async"
CONNECTIONS = 32
MOST_MICROSECONDS = 40.0
BUDGET = (
    "requests-per-minute=100000000",
    "concurrent-runs=10000",
    "tokens-per-day=100000000",
    "run-seconds-per-day=100000000",
)


def key_for(server: Server) -> str:
    """A new key of a server that does not run yet."""
    budget = [word for one in BUDGET for word in ("--budget", one)]
    command = [*server.kind.command[:-1], "keys", "create", "bench", "--scope", "run", *budget]
    made = subprocess.run(
        command,
        env={**server.kind.environment(), "HAYSERVE_DATA_DIR": str(server.folder / "data")},
        cwd=server.folder,
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    return made.stdout.strip()


def made(kind: Kind, folder: Path) -> Server:
    server = Server(kind, folder)
    folder.mkdir()
    server.deploy(WRAPPER)
    server.variables["HAYSERVE_ACCESS_LOG"] = "false"
    return server


def contestants(folder: Path, source: Path | None) -> dict[str, tuple[Server, str]]:
    """The servers by what they are called, and the key that each is shown."""
    on, off = made(hayserve(), folder / "on"), made(hayserve(), folder / "off")
    key = key_for(on)
    on.variables["HAYSERVE_REQUIRE_KEY"] = "1"
    off.variables["HAYSERVE_INSECURE"] = "1"
    found = {"on": (on, key), "off": (off, "")}
    if source is not None:
        found["before"] = (made(hayserve(source), folder / "before"), "")
    return found


def measured(
    servers: dict[str, tuple[Server, str]], *, rounds: int, seconds: float
) -> dict[str, float]:
    """The processor time of a request at each, in microseconds."""
    times: dict[str, list[float]] = {name: [] for name in servers}
    for _ in range(rounds):
        for name, (server, key) in servers.items():
            calls = replace(rest(WRAPPER, connections=CONNECTIONS), key=key)
            found = load(server, [calls], seconds=seconds)
            times[name].append(rates(found, found.answers)["cpu"])
    return {name: statistics.median(each) for name, each in times.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--source", type=Path)
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        servers = contestants(Path(folder), asked.source)
        for server, _ in servers.values():
            stack.enter_context(running(server))
        found = measured(servers, rounds=asked.rounds, seconds=asked.seconds)
    for name, microseconds in found.items():
        print(f"{name:8}{microseconds:6.1f} us of CPU per request")
    cost = found["on"] - found["off"]
    print(f"keys and budgets cost {cost:.1f} us; at most {MOST_MICROSECONDS:.0f} are allowed")
    return int(cost > MOST_MICROSECONDS)


if __name__ == "__main__":
    raise SystemExit(main())
