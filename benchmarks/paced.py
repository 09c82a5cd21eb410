"""The scenarios that are about many streams at once, of models that say one token in 10 ms."""

from collections.abc import Callable, Iterator
from functools import partial

from benchmarks.calls import TOKENS, Calls
from benchmarks.loads import chat, load, median
from benchmarks.scenario import Figures, Row, Standing
from benchmarks.servers import Server
from benchmarks.streams import KINDS

IDEAL_SECONDS = TOKENS * 0.01
FINE = 1.10  # times the ideal
STEP = 16
TRIES = 2  # one disturbance does not end a search


def streams_at_once(server: Server, _: float, *, wrapper: str, streams: int) -> Figures:
    """How long so many streams that begin together take, over what their model takes."""
    found = load(server, [_streams(server, wrapper=wrapper, streams=streams)])
    return {
        "over": median(found.times) / IDEAL_SECONDS,
        "first": median(found.first_tokens) * 1000,
        "cpu": found.cpu / found.tokens * 1e6,
    }


def _streams(server: Server, *, wrapper: str, streams: int = 4) -> Calls:
    return chat(server, wrapper, connections=streams, tokens=TOKENS, stream=True, again=False)


def paced() -> Iterator[Standing]:
    for kind in KINDS:
        for streams in (32, 128, 256, 512):
            name, title = f"paced-{kind}-{streams}", f"Agent, {kind}, {streams} streams at 10 ms"
            with_cpu = kind == "async" and streams == 256
            cpu = Row(f"{name}-cpu", f"{title}: CPU", "us/token", "cpu", more_is_better=False)
            yield Standing(
                (
                    Row(name, title, "x ideal", "over", more_is_better=False),
                    *((cpu,) if with_cpu else ()),
                ),
                (f"paced_{kind}",),
                partial(streams_at_once, wrapper=f"paced_{kind}", streams=streams),
                first=partial(_streams, wrapper=f"paced_{kind}"),
                bare=("paced", "--tasks", str(streams), "--seconds", "0") if with_cpu else (),
            )


def most(is_fine: Callable[[int], bool], *, first: int = 64, limit: int = 1024) -> int:
    """The highest number of streams, in steps, that is fine; 0 if none is."""
    low, high = 0, first
    while high <= limit and is_fine(high):
        low, high = high, high * 2
    while high - low > STEP:
        middle = (low + high) // 2 // STEP * STEP
        if is_fine(middle):
            low = middle
        else:
            high = middle
    return low


def capacity_of(server: Server, _: float, *, wrapper: str) -> Figures:
    """How many streams it serves at once with a median answer within 10 % of the ideal."""

    def is_fine(streams: int) -> bool:
        return any(
            streams_at_once(server, _, wrapper=wrapper, streams=streams)["over"] <= FINE
            for _try in range(TRIES)
        )

    return {"streams": most(is_fine)}


def capacity() -> Iterator[Standing]:
    for kind in KINDS:
        title = f"Agent, {kind}, streams at 10 ms within 10 % of ideal"
        yield Standing(
            (Row(f"capacity-{kind}", title, "streams", "streams"),),
            (f"paced_{kind}",),
            partial(capacity_of, wrapper=f"paced_{kind}"),
            first=partial(_streams, wrapper=f"paced_{kind}"),
        )


def _thinking(server: Server, _: float) -> Figures:
    calls = chat(server, "thinking_sync", connections=400, tokens=1, stream=True, again=False)
    return {"median": median(load(server, [calls], patience=120).times)}


def thinking() -> Standing:
    title = "400 sync streams, 5 s before the only token"
    row = Row("thinking-sync-400", title, "s", "median", more_is_better=False)
    return Standing((row,), ("thinking_sync",), _thinking)


def _worst(probes: tuple[float, ...]) -> Figures:
    return {"worst": median(probes[-1:]) * 1000}


def _asked_whole(server: Server, _: float) -> Figures:
    calls = chat(server, "paced_sync", connections=4, tokens=TOKENS, again=False)
    return _worst(load(server, [calls], probe=server.kind.health).probes)


def _runs_and_streams(server: Server, _: float) -> Figures:
    runs = chat(server, "slow_sync", connections=32, tokens=TOKENS, again=False)
    streams = [_streams(server, wrapper=f"paced_{kind}", streams=64) for kind in KINDS]
    return _worst(load(server, [runs, *streams], probe=server.kind.health).probes)


def _busy_runs(server: Server, seconds: float) -> Figures:
    runs = chat(server, "answer_sync", connections=32, tokens=TOKENS)
    streams = chat(server, "paced_async", connections=128, tokens=TOKENS, stream=True)
    found = load(server, [runs, streams], seconds=seconds, probe=server.kind.health)
    return _worst(found.probes)


def health() -> Iterator[Standing]:
    """How long the health check takes at worst."""
    yield Standing(
        (_health("health-stream-false", "sync stream asked for whole"),),
        ("paced_sync",),
        _asked_whole,
        first=partial(_streams, wrapper="paced_sync"),
    )
    yield Standing(
        (_health("health-under-load", "32 sync runs, 128 streams"),),
        ("slow_sync", "paced_sync", "paced_async"),
        _runs_and_streams,
        first=partial(_streams, wrapper="paced_sync"),
    )
    yield Standing(
        (_health("health-busy", "32 busy sync runs, 128 streams"),),
        ("answer_sync", "paced_async"),
        _busy_runs,
    )


def _health(name: str, load: str) -> Row:
    return Row(name, f"worst health check, {load}", "ms", "worst", more_is_better=False)
