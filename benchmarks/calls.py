"""What a load client is asked to do, and what it found: the words of it and of who starts it."""

from dataclasses import dataclass, field

TOKEN = "wort "
TOKENS = 200


@dataclass(frozen=True, slots=True)
class Calls:
    """The same request on a number of connections at once.

    Args:
        path: Where it goes.
        body: Its JSON; a GET if empty.
        connections: How many connections send it.
        again: Whether each sends it again as soon as it is answered, or once.
        tokens: How many tokens every answer has.
        ending: What every answer has besides, such as the last frame of a stream.
        key: The key that it shows, if any.
    """

    path: str
    body: str = ""
    connections: int = 1
    again: bool = True
    tokens: int = 1
    ending: str = ""
    key: str = ""

    def request(self, host: str) -> bytes:
        method = "POST" if self.body else "GET"
        shown = f"authorization: Bearer {self.key}\r\n" if self.key else ""
        head = (
            f"{method} {self.path} HTTP/1.1\r\nhost: {host}\r\naccept: */*\r\n"
            f"{shown}content-type: application/json\r\ncontent-length: {len(self.body)}\r\n\r\n"
        )
        return (head + self.body).encode("ascii")


@dataclass(frozen=True, slots=True)
class Task:
    """What a load client does.

    Args:
        port: The server's.
        calls: What it sends, all at the same time.
        seconds: How long it counts; 0 counts until everything is answered.
        warm_up: The seconds of the same load before it counts; each connection has been answered
            by then, or it takes longer.
        patience: The seconds that it waits for answers that are not whole.
        pids: The processes whose processor time it reads.
        probe: A path that it asks for all the while on a connection of its own.
    """

    port: int
    calls: tuple[Calls, ...]
    seconds: float = 0.0
    warm_up: float = 0.3
    patience: float = 60.0
    pids: tuple[int, ...] = ()
    probe: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """What a load client found out.

    Args:
        seconds: How long it counted.
        answers: How many answers became whole in that time.
        tokens: How many tokens arrived in that time.
        frames: How many frames of event streams arrived with the answers that became whole.
        cpu: The processor time of the server in that time, in seconds.
        times: How long each answer took, in seconds, in rising order.
        first_tokens: How long the first token of each answer took, likewise.
        probes: How long each probe took, likewise.
        failures: What was wrong, and how often.
    """

    seconds: float
    answers: int
    tokens: int
    frames: int
    cpu: float
    times: tuple[float, ...] = ()
    first_tokens: tuple[float, ...] = ()
    probes: tuple[float, ...] = ()
    failures: dict[str, int] = field(default_factory=dict[str, int])
