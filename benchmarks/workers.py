"""What a second worker gains on two cores that the load client shares."""

import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from benchmarks.calls import TOKENS, Calls
from benchmarks.cores import both_cores
from benchmarks.loads import chat, load, rest
from benchmarks.scenario import Figures, Fresh, Row
from benchmarks.servers import Kind, Server, running


def gain(
    kind: Kind, folder: Path, seconds: float, *, wrapper: str, calls_of: Callable[[Server], Calls]
) -> Figures:
    """What one worker and two workers do in a second, and the one over the other."""
    rates: list[float] = []
    for arguments in ((), ("--workers", "2")):
        with tempfile.TemporaryDirectory(dir=folder) as place:
            server = Server(kind, Path(place), arguments=arguments, cores=both_cores())
            server.deploy(wrapper)
            with running(server):
                calls = calls_of(server)
                found = load(server, [calls], seconds=seconds, cores=both_cores())
        rates.append(found.tokens / found.seconds)
    return {"one": rates[0], "two": rates[1], "gain": rates[1] / rates[0]}


def workers() -> Iterator[Fresh]:
    def plain(_: Server) -> Calls:
        return rest("rest_async", connections=32)

    def stream(server: Server) -> Calls:
        return chat(server, "agent_async", tokens=TOKENS, stream=True)

    whats = (
        ("rest", "REST, async, 32 clients", "requests/s", "rest_async", plain),
        ("agent", "Agent, async, streamed", "tokens/s", "agent_async", stream),
    )
    for name, title, unit, wrapper, calls_of in whats:
        yield Fresh(
            (
                Row(f"workers-{name}-1", f"{title}, 1 worker on 2 cores", unit, "one"),
                Row(f"workers-{name}-2", f"{title}, 2 workers on 2 cores", unit, "two"),
                Row(f"workers-{name}-gain", f"{title}: 2 workers over 1", "times", "gain"),
            ),
            partial(gain, wrapper=wrapper, calls_of=calls_of),
        )
