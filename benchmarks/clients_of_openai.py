"""The scenarios in which the model is asked over HTTP, at a server that costs nothing."""

from collections.abc import Iterator
from functools import partial

from benchmarks.calls import TOKENS
from benchmarks.loads import chat, load, rates
from benchmarks.scenario import Figures, Row, Standing
from benchmarks.servers import Server
from benchmarks.streams import KINDS
from benchmarks.upstream import upstream

CLIENTS = 16


def tokens_of(server: Server, seconds: float, *, wrapper: str, theirs: str) -> Figures:
    """How many tokens it hands on, and the processor time of each in microseconds."""
    name = wrapper if server.kind.label == "hayserve" else theirs
    calls = chat(server, name, connections=CLIENTS, tokens=TOKENS, stream=True)
    found = load(server, [calls], seconds=2 * seconds)  # many answers end at the same time
    return rates(found, found.tokens)


def clients_of_openai() -> Iterator[Standing]:
    """With Haystack's own client in both servers, and with ours against Haystack's in Hayhooks."""
    for name, title in (("openai", "OpenAIChatGenerator"), ("lean", "lean generator of ours")):
        for kind in KINDS:
            theirs = f"openai_{kind}"
            rate = Row(f"{name}-{kind}", f"{title}, {kind}, 16 clients", "tokens/s")
            cpu = Row(
                f"{name}-{kind}-cpu", f"{rate.title}: CPU", "us/token", "cpu", more_is_better=False
            )
            yield Standing(
                (rate, cpu),
                (theirs,),
                partial(tokens_of, wrapper=f"{name}_{kind}", theirs=theirs),
                only_ours=(f"lean_{kind}",) if name == "lean" else (),
                needs="hayserve.generators" if name == "lean" else "",
                beside=upstream,
            )
