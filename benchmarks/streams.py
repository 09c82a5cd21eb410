"""The scenarios that are about throughput: plain calls, chats, and streams at full speed."""

from collections.abc import Callable, Iterator
from functools import partial

from benchmarks.calls import TOKENS, Calls
from benchmarks.loads import chat, load, rates, rest
from benchmarks.scenario import Figures, Row, Standing
from benchmarks.servers import Server

Requests = Callable[[Server], Calls]
KINDS = ("sync", "async")


def answers_per_second(server: Server, seconds: float, *, requests: Requests) -> Figures:
    """How many answers it gives, and the processor time of each in microseconds."""
    found = load(server, [requests(server)], seconds=seconds)
    return rates(found, found.answers)


def tokens_per_second(server: Server, seconds: float, *, requests: Requests) -> Figures:
    """How many tokens it streams, and the processor time of each in microseconds."""
    found = load(server, [requests(server)], seconds=seconds)
    return rates(found, found.tokens)


def _row(name: str, title: str, unit: str) -> tuple[Row, Row]:
    """The row of a rate, and the one of the processor time that each answer or token takes."""
    one = unit.removesuffix("s/s")
    cpu = Row(f"{name}-cpu", f"{title}: CPU", f"us/{one}", "cpu", more_is_better=False)
    return Row(name, title, unit), cpu


def plain_calls() -> Iterator[Standing]:
    for kind in KINDS:
        for clients in (1, 32, 256):

            def requests(_: Server, *, kind: str = kind, clients: int = clients) -> Calls:
                return rest(f"rest_{kind}", connections=clients)

            title = f"REST, {kind}, {clients} client{'s' * (clients > 1)}"
            yield Standing(
                _row(f"rest-{kind}-{clients}", title, "requests/s"),
                (f"rest_{kind}",),
                partial(answers_per_second, requests=requests),
                recorded=requests,
            )


def replies() -> Iterator[Standing]:
    """Chats that are answered with a string, as one answer and as a stream of it."""
    for kind in KINDS:
        for stream in (False, True):
            requests = _chat(f"reply_{kind}", tokens=1, stream=stream)
            name = f"reply-{kind}" + "-streamed" * stream
            title = f"chat, string reply, {kind}" + ", streamed" * stream
            yield Standing(
                _row(name, title, "requests/s"),
                (f"reply_{kind}",),
                partial(answers_per_second, requests=requests),
                recorded=requests,
            )


def streams() -> Iterator[Standing]:
    """Streams of 200 tokens as fast as they can be taken."""
    titles = {
        "generator": "generator",
        "agent": "Agent",
        "tool": "Agent with one tool call",
        "pipeline": "Pipeline",
        "pipeline_tool": "Pipeline of Agent with a tool call",
    }
    bare = {"agent", "tool", "pipeline"}
    for name, title in titles.items():
        for kind in KINDS:
            requests = _chat(f"{name}_{kind}", tokens=TOKENS, stream=True)
            loop = (name, *(["--sync"] if kind == "sync" else [])) if name in bare else ()
            yield Standing(
                _row(f"{name.replace('_', '-')}-{kind}", f"{title}, {kind}, streamed", "tokens/s"),
                (f"{name}_{kind}",),
                partial(tokens_per_second, requests=requests),
                recorded=None if loop else requests,
                bare=loop,
            )


def answers() -> Iterator[Standing]:
    """Agents whose whole answer is given at once."""
    for kind in KINDS:
        requests = _chat(f"answer_{kind}", tokens=TOKENS, stream=False)
        yield Standing(
            _row(f"answer-{kind}", f"Agent, {kind}, plain answer", "requests/s"),
            (f"answer_{kind}",),
            partial(answers_per_second, requests=requests),
            bare=("answer", *(["--sync"] if kind == "sync" else [])),
        )


def _chat(wrapper: str, *, tokens: int, stream: bool) -> Requests:
    return partial(_chat_of, wrapper=wrapper, tokens=tokens, stream=stream)


def _chat_of(server: Server, *, wrapper: str, tokens: int, stream: bool) -> Calls:
    return chat(server, wrapper, tokens=tokens, stream=stream)
