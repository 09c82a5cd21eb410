"""Deployments that tell words as they are asked to, and requests that see how far they came."""

import json
import socket
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias, TypeVar

import httpx2

from e2e.started import Process
from server.serving import put, wrapper

Protocol: TypeAlias = Literal["rest", "events", "chat", "responses"]
T = TypeVar("T")
HEADERS = {"content-type": "application/json", "host": "localhost"}

# What the caller wants, and a file that has one dot for each word and a bar at the end.
PLAN = """
import json
from pathlib import Path

class Plan:
    def __init__(self, text):
        given = json.loads(text)
        self.first = given.get("first", 0.0)
        self.tokens = given.get("tokens", 1_000)
        self.pause = given.get("pause", 0.02)
        self.size = given.get("size", 0)
        self.fails_at = given.get("fails_at")
        self.marks = Path(given["marks"])

    def word(self, number):
        if number == self.fails_at:
            raise ValueError("the model broke")
        self._mark(".")
        return f"{number} ".ljust(self.size)

    def end(self):
        self._mark("|")

    def _mark(self, sign):
        with self.marks.open("a") as file:
            file.write(sign)
"""
SYNC = wrapper(
    """
    def run_api(self, plan: str, streamed: bool = True) -> Any:
        return words(Plan(plan)) if streamed else self.steps(Plan(plan))

    def run_chat_completion(self, model: str, messages: list, body: dict) -> Any:
        return words(Plan(messages[-1]["content"]))

    def steps(self, plan: Plan) -> str:
        try:
            time.sleep(plan.first)
            said = [self.pipeline.run({"say": {"plan": plan, "n": n}}) for n in range(plan.tokens)]
            return "".join(one["say"]["word"] for one in said)
        finally:
            plan.end()
    """,
    top="""
    import time
    from haystack import Pipeline, component
    from plan import Plan

    def words(plan):
        try:
            time.sleep(plan.first)
            for number in range(plan.tokens):
                yield plan.word(number)
                time.sleep(plan.pause)
        finally:
            plan.end()

    @component
    class Say:
        @component.output_types(word=str)
        def run(self, plan: Plan, n: int):
            word = plan.word(n)
            time.sleep(plan.pause)
            return {"word": word}
    """,
    setup="self.pipeline = Pipeline().add_component('say', Say())",
)
ASYNC = wrapper(
    """
    async def run_api_async(self, plan: str, streamed: bool = True) -> Any:
        said = words(Plan(plan))
        return said if streamed else "".join([word async for word in said])

    async def run_chat_completion_async(self, model: str, messages: list, body: dict) -> Any:
        return words(Plan(messages[-1]["content"]))
    """,
    top="""
    import asyncio
    from plan import Plan

    async def words(plan):
        try:
            await asyncio.sleep(plan.first)
            for number in range(plan.tokens):
                yield plan.word(number)
                await asyncio.sleep(plan.pause)
        finally:
            plan.end()
    """,
)


APART = f"{ASYNC}\n    own_loop = True\n"
TELLERS = {"sync": SYNC, "async": ASYNC, "apart": APART}


def put_tellers(pipelines: Path) -> None:
    """Write the deployments: one of threads, one of the event loop, one of its own event loop."""
    for name, source in TELLERS.items():
        put(pipelines / name, source, **{"plan.py": PLAN})


class Asked(NamedTuple):
    """A way to ask: over which protocol, for which deployment, for a stream or for a whole."""

    protocol: Protocol
    name: str
    streamed: bool

    def __str__(self) -> str:
        return f"{self.protocol} {self.name} {'streamed' if self.streamed else 'plain'}"

    @property
    def path(self) -> str:
        of_openai = {"chat": "/v1/chat/completions", "responses": "/v1/responses"}
        return of_openai.get(self.protocol, f"/{self.name}/run")

    @property
    def headers(self) -> dict[str, str]:
        return {"accept": "text/event-stream"} if self.protocol == "events" else {}

    def body(self, plan: str) -> dict[str, Any]:
        if self.protocol == "chat":
            messages = [{"role": "user", "content": plan}]
            return {"model": self.name, "messages": messages, "stream": self.streamed}
        if self.protocol == "responses":
            return {"model": self.name, "input": plan, "stream": self.streamed}
        return {"plan": plan, "streamed": self.streamed}


def ways(*protocols: Protocol, streamed: tuple[bool, ...] = (True, False)) -> list[Asked]:
    """All ways to ask over these protocols, for each of the deployments."""
    return [
        Asked(protocol, name, one) for protocol in protocols for name in TELLERS for one in streamed
    ]


@dataclass
class Telling:
    """One request and what is known of its run.

    Args:
        server: Where.
        asked: How.
        marks: The file that its words are counted in; None for a file that nobody looks into.
    """

    server: Process
    asked: Asked
    marks: Path = Path("/dev/null")

    @property
    def said(self) -> int:
        with suppress(FileNotFoundError):
            return self.marks.read_text().count(".")
        return 0

    @property
    def has_ended(self) -> bool:
        return self.marks.exists() and self.marks.read_text().endswith("|")

    def plan(self, **wishes: float) -> str:
        return json.dumps({"marks": str(self.marks), **wishes})

    def post(self, **wishes: float) -> httpx2.Response:
        """Ask as a well-behaved client, and read the answer to its end."""
        body = self.asked.body(self.plan(**wishes))
        url = f"{self.server.url}{self.asked.path}"
        return httpx2.post(url, json=body, headers=self.asked.headers, timeout=30, trust_env=False)

    def request(self, *, headers: dict[str, str] | None = None, **wishes: Any) -> bytes:
        """The request as it goes over the wire."""
        body = json.dumps(self.asked.body(self.plan(**wishes))).encode()
        given = {**HEADERS, **self.asked.headers, **(headers or {})}
        lines = "".join(f"{name}: {value}\r\n" for name, value in given.items())
        head = f"POST {self.asked.path} HTTP/1.1\r\n{lines}content-length: {len(body)}\r\n\r\n"
        return head.encode() + body


class Caller:
    """A client that is not well-behaved: it asks, and perhaps neither reads nor stays.

    Args:
        port: The server's.
        receives: How many bytes the system takes for it while it does not read.
    """

    def __init__(self, port: int, *, receives: int | None = None) -> None:
        self.socket = socket.socket()
        if receives is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receives)
        self.socket.settimeout(10)
        self.socket.connect(("127.0.0.1", port))

    def close(self) -> None:
        """Leave in good order: what came is read, then the connection is closed."""
        self.socket.setblocking(False)
        with suppress(BlockingIOError):
            while self.socket.recv(65536):
                pass
        self.socket.close()

    def reset(self) -> None:
        """Leave, if it is still there, as a program that was killed or a proxy that gave up."""
        if self.socket.fileno() >= 0:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.socket.close()


class Callers:
    """Those who ask in one test.

    Args:
        port: The server's.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._callers: list[Caller] = []

    def connect(self, *, receives: int | None = None) -> Caller:
        self._callers.append(Caller(self._port, receives=receives))
        return self._callers[-1]

    def ask(self, request: bytes, *, receives: int | None = None) -> Caller:
        """Send a request over a connection of its own; nobody reads the answer yet."""
        caller = self.connect(receives=receives)
        caller.socket.sendall(request)
        return caller

    def leave(self) -> None:
        """Have all leave that are still there."""
        for caller in self._callers:
            caller.reset()


def runs_of(server: Process, **query: str) -> list[dict[str, Any]]:
    """The runs that are alive, as an operator sees them."""
    answer = server.http.get("/runs", params=query, headers=key_of(server))
    assert answer.status_code == 200, answer.text
    listed: list[dict[str, Any]] = answer.json()["runs"]
    return listed


def key_of(server: Process) -> dict[str, str]:
    return {"authorization": f"Bearer {server.key_file.read_text()}"}


def wait_until(condition: Callable[[], object], *, seconds: float = 10.0) -> None:
    """Return when `condition` holds."""
    wait_for(condition, bool, seconds=seconds)


def wait_for(value: Callable[[], T], fits: Callable[[T], object], *, seconds: float = 10.0) -> T:
    """What `value` gives once that fits."""
    deadline = time.monotonic() + seconds
    while not fits(found := value()):
        assert time.monotonic() < deadline, f"It did not come: {found}."
        time.sleep(0.02)
    return found


def settled(number: Callable[[], int], *, seconds: float = 0.5) -> int:
    """What `number` gives once it has not changed for so long."""
    before, since = number(), time.monotonic()
    deadline = since + 20
    while time.monotonic() - since < seconds:
        assert time.monotonic() < deadline, f"It still changes: {before}."
        time.sleep(0.02)
        if (now := number()) != before:
            before, since = now, time.monotonic()
    return before
