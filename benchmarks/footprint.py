"""The scenarios that are about what a server costs before it does much: memory and starts."""

import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.calls import TOKENS, Task
from benchmarks.cores import server_core, started_on
from benchmarks.loads import Load, chat, load
from benchmarks.scenario import Figures, Fresh, Row
from benchmarks.servers import Kind, Server, running

DEPLOYMENTS = 20
STREAMS = 200
SETTLING_SECONDS = 1.0


def memory(kind: Kind, folder: Path, _: float) -> Figures:
    """The memory of a server, in MB, and what a deployment and a stream add to it, in KB."""
    one, idle = _one_agent(kind, folder, "async")
    return {
        "idle": idle,
        "deployment": (_with_many(kind, folder) - idle) / DEPLOYMENTS * 1024,
        "async": one,
        "sync": _one_agent(kind, folder, "sync")[0],
    }


def _one_agent(kind: Kind, folder: Path, how: str) -> tuple[float, float]:
    """What an open stream of an agent adds, in KB, and the memory without any, in MB."""
    wrapper = f"paced_{how}"
    with tempfile.TemporaryDirectory(dir=folder) as place:
        server = Server(kind, Path(place))
        server.deploy(wrapper)
        with running(server):
            idle = _settled(server)
            calls = [
                chat(server, wrapper, connections=n, tokens=TOKENS, stream=True, again=False)
                for n in (1, STREAMS)
            ]
            load(server, calls[:1])
            before = _settled(server)
            held = Load(Task(server.port, tuple(calls[1:])))
            peak = before
            while held.is_under_way():
                peak = max(peak, server.memory())
                time.sleep(0.05)
            held.found()
            return (peak - before) / STREAMS * 1024, idle


def _with_many(kind: Kind, folder: Path) -> float:
    """The memory with twenty more deployments, in MB."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        server = Server(kind, Path(place))
        server.deploy("paced_async", names=[f"it{n}" for n in range(DEPLOYMENTS + 1)])
        with running(server):
            return _settled(server)


def _settled(server: Server) -> float:
    time.sleep(SETTLING_SECONDS)
    return server.memory()


def starts(kind: Kind, folder: Path, _: float) -> Figures:
    """The seconds until a server with one agent is ready, for the first time and again."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        server = Server(kind, Path(place))
        server.deploy("agent_async")
        seconds: list[float] = []
        for _ in range(2):
            seconds.append(server.start())
            server.stop()
    return {"first": seconds[0], "next": seconds[1]}


def asked_for_help(kind: Kind, folder: Path, _: float) -> Figures:
    """The seconds that the command line takes to say what it can do."""
    environment = kind.environment()
    command = [*kind.command[:-1], "--help"]
    begun = time.perf_counter()
    with started_on(server_core()):
        subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, check=True)
    return {"seconds": time.perf_counter() - begun}


def footprint() -> Iterator[Fresh]:
    def row(name: str, title: str, unit: str, *, figure: str) -> Row:
        return Row(name, title, unit, figure, more_is_better=False)

    yield Fresh(
        (
            row("memory-idle", "memory with one agent, idle", "MB", figure="idle"),
            row(
                "memory-deployment",
                "memory of each of 20 more deployments",
                "KB",
                figure="deployment",
            ),
            row(
                "memory-stream-sync",
                "memory of each of 200 open streams, sync",
                "KB",
                figure="sync",
            ),
            row(
                "memory-stream-async",
                "memory of each of 200 open streams, async",
                "KB",
                figure="async",
            ),
        ),
        memory,
    )
    yield Fresh(
        (
            row("start-first", "start with one agent, for the first time", "s", figure="first"),
            row("start-next", "start with one agent, again", "s", figure="next"),
        ),
        starts,
    )
    yield Fresh((row("help", "--help", "s", figure="seconds"),), asked_for_help)
