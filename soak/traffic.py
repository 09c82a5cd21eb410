"""Requests of all kinds to one server: each answer is looked at; some are left, some cancelled."""

import asyncio
import json
import random
import re
import time
import uuid
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

WORDS = 50
PATIENCE_SECONDS = 60
# The server closes connections that are idle for much longer.
FRESH_SECONDS = 1.0

_PLAIN = """
import asyncio, time, uuid
from typing import Any
from hayserve import BasePipelineWrapper

class PipelineWrapper(BasePipelineWrapper):
    label = "LABEL"

    def setup(self) -> None:
        pass
"""
_AGENT = """
import asyncio, time
from typing import Any
from haystack import component
from haystack.components.agents import Agent
from haystack.dataclasses import ChatMessage, StreamingChunk
from hayserve import BasePipelineWrapper, async_streaming_generator, streaming_generator

@component
class Model:
    @component.output_types(replies=list[ChatMessage])
    def run(self, messages: list[ChatMessage], streaming_callback: Any = None, tools: Any = None):
        for chunk in chunks():
            time.sleep(0.01)
            if streaming_callback:
                streaming_callback(chunk)
        return {"replies": [ChatMessage.from_assistant("word " * WORDS)]}

    @component.output_types(replies=list[ChatMessage])
    async def run_async(
        self, messages: list[ChatMessage], streaming_callback: Any = None, tools: Any = None
    ):
        for chunk in chunks():
            await asyncio.sleep(0.01)
            if streaming_callback:
                told = streaming_callback(chunk)
                if told is not None:
                    await told
        return {"replies": [ChatMessage.from_assistant("word " * WORDS)]}

def chunks():
    for number in range(WORDS):
        yield StreamingChunk(content="word ", index=0, start=number == 0)

class PipelineWrapper(BasePipelineWrapper):
    label = "LABEL"

    def setup(self) -> None:
        self.pipeline = Agent(chat_generator=Model())
"""
SOURCES = {
    "rest_sync": _PLAIN
    + """
    def run_api(self, text: str) -> str:
        return text
""",
    "rest_async": _PLAIN
    + """
    async def run_api_async(self, text: str) -> str:
        return text
""",
    "once": _PLAIN
    + """
    async def run_api_async(self) -> str:
        return uuid.uuid4().hex
""",
    "chat": _PLAIN
    + """
    def run_chat_completion(self, model: str, messages: list, body: dict) -> Any:
        for _ in range(WORDS):
            yield "word "
""",
    "agent_sync": _AGENT
    + """
    def run_chat_completion(self, model: str, messages: list, body: dict) -> Any:
        asked = {"messages": [ChatMessage.from_user("Go")]}
        return streaming_generator(pipeline=self.pipeline, pipeline_run_args=asked)
""",
    "agent_async": _AGENT
    + """
    async def run_chat_completion_async(self, model: str, messages: list, body: dict) -> Any:
        asked = {"messages": [ChatMessage.from_user("Go")]}
        return async_streaming_generator(pipeline=self.pipeline, pipeline_run_args=asked)
""",
}


def source(name: str, *, label: str) -> str:
    """The text of a wrapper; another label makes it another revision."""
    return SOURCES[name].replace("LABEL", label).replace("WORDS", str(WORDS))


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of request.

    Args:
        name: What people are told.
        weight: How often it comes, compared with the others.
        deployment: Whom it asks.
        streamed: Whether its answer is a stream of words.
        is_chat: Whether it goes to the path of chat completions.
        has_key: Whether it has an Idempotency-Key.
        leave: How many in a hundred leave before the end.
        cancel: How many in a hundred are cancelled by an operator.
    """

    name: str
    weight: int
    deployment: str
    streamed: bool = False
    is_chat: bool = False
    has_key: bool = False
    leave: int = 0
    cancel: int = 0

    def request(self, *, key: str = "") -> bytes:
        path, given = f"/{self.deployment}/run", {}
        if self.is_chat:
            path = "/v1/chat/completions"
            messages = [{"role": "user", "content": "Go"}]
            given = {"model": self.deployment, "messages": messages, "stream": self.streamed}
        elif not self.has_key:
            given = {"text": "hello"}
        headers = {"idempotency-key": key} if key else {}
        return written("POST", path, json.dumps(given), headers=headers)


KINDS = (
    Kind("REST, sync", 27, "rest_sync", leave=1),
    Kind("REST, async", 27, "rest_async", leave=1),
    # Each is a write to the disk or two, of which there are some hundred in a second.
    Kind("REST, with a key", 1, "once", has_key=True, leave=5),
    Kind("chat", 15, "chat", is_chat=True, leave=1),
    Kind("chat, streamed", 15, "chat", is_chat=True, streamed=True, leave=5),
    Kind("agent, sync, streamed", 7, "agent_sync", is_chat=True, streamed=True, leave=10, cancel=5),
    Kind(
        "agent, async, streamed", 8, "agent_async", is_chat=True, streamed=True, leave=10, cancel=5
    ),
)


def written(method: str, path: str, body: str, *, headers: Mapping[str, str]) -> bytes:
    """A request as it goes over the wire."""
    given = {
        "host": "localhost",
        "content-type": "application/json",
        "content-length": str(len(body)),
        **headers,
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in given.items())
    return f"{method} {path} HTTP/1.1\r\n{lines}\r\n{body}".encode()


@dataclass(slots=True)
class Answer:
    """One answer, as it came over the wire."""

    head: bytes
    body: bytes = b""

    @property
    def status(self) -> int:
        return int(self.head[9:12])

    def header(self, name: str) -> str:
        found = re.search(rb"\r\n" + name.encode() + rb": ([^\r]*)", self.head)
        return found[1].decode() if found else ""


class Connections:
    """Connections to one port that are used again.

    Args:
        port: The server's.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[tuple[float, Connection]] = []

    async def one(self) -> "Connection":
        while self._idle:
            since, connection = self._idle.pop()
            if time.monotonic() - since < FRESH_SECONDS and not connection.is_closed:
                return connection
            connection.close()
        return Connection(*await asyncio.open_connection("127.0.0.1", self._port))

    def give_back(self, connection: "Connection") -> None:
        self._idle.append((time.monotonic(), connection))

    def close(self) -> None:
        for _, connection in self._idle:
            connection.close()


class Connection:
    """A connection that sends one request at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @property
    def is_closed(self) -> bool:
        return self._reader.at_eof()

    async def ask(self, request: bytes) -> Answer:
        """Send a request, and read the head of its answer."""
        self._writer.write(request)
        return Answer(await self._reader.readuntil(b"\r\n\r\n"))

    async def read(self, answer: Answer) -> None:
        """Read the rest of an answer."""
        if length := answer.header("content-length"):
            answer.body = await self._reader.readexactly(int(length))
            return
        while not answer.body.endswith(b"\r\n0\r\n\r\n"):
            came = await self._reader.read(65536)
            if not came:
                raise EOFError("the connection was closed in the middle of an answer")
            answer.body += came

    def close(self) -> None:
        self._writer.transport.abort()


@dataclass(slots=True)
class Counts:
    """What came of the requests, by kind; whatever is in `unexplained` should not have happened."""

    asked: Counter[str] = field(default_factory=Counter[str])
    answered: Counter[str] = field(default_factory=Counter[str])
    refused: Counter[str] = field(default_factory=Counter[str])
    left: Counter[str] = field(default_factory=Counter[str])
    cancelled: Counter[str] = field(default_factory=Counter[str])
    unexplained: Counter[str] = field(default_factory=Counter[str])
    cancels: list[float] = field(default_factory=list[float])  # how many seconds each took


class Traffic:
    """The clients.

    Args:
        port: The server's.
        key: That of an operator.
    """

    def __init__(self, port: int, *, key: str) -> None:
        self.counts = Counts()
        self.under_way = 0
        self._connections = Connections(port)
        self._operator = {"authorization": f"Bearer {key}"}
        self._random = random.Random(4)

    def close(self) -> None:
        self._connections.close()

    async def ask(self) -> None:
        """Send a request of any kind, and look at its answer."""
        [kind] = self._random.choices(KINDS, [kind.weight for kind in KINDS])
        key = uuid.uuid4().hex if kind.has_key else ""
        first = await self._ask_as(kind, key=key)
        if key and first is not None:
            second = await self._ask_as(kind, key=key, leaves=False)
            if second is not None and not _is_replay(first, second):
                self._note(kind, f"not the answer from before: {second.body!r}")

    async def _ask_as(self, kind: Kind, *, key: str, leaves: bool = True) -> Answer | None:
        """The answer if it was a good one."""
        self.counts.asked[kind.name] += 1
        self.under_way += 1
        patience = PATIENCE_SECONDS
        is_leaving = leaves and self._chance(kind.leave)
        if is_leaving:
            patience = self._random.uniform(0, 0.01 * WORDS if kind.cancel else 0.01)
        try:
            async with asyncio.timeout(patience):
                answer = await self._answer(kind, kind.request(key=key))
        except TimeoutError:
            if is_leaving:
                self.counts.left[kind.name] += 1
            else:
                self._note(kind, f"no answer within {PATIENCE_SECONDS} s")
        except (OSError, EOFError) as error:
            self._note(kind, f"{type(error).__name__}: {error}")
        else:
            return answer if self._is_good(kind, answer) else None
        finally:
            self.under_way -= 1
        return None

    async def _answer(self, kind: Kind, request: bytes) -> Answer:
        connection = await self._connections.one()
        try:
            answer = await connection.ask(request)
            if answer.status == 200 and self._chance(kind.cancel):
                await asyncio.gather(
                    connection.read(answer), self._cancel(answer.header("x-request-id"))
                )
            else:
                await connection.read(answer)
        except BaseException:
            connection.close()
            raise
        self._connections.give_back(connection)
        return answer

    async def _cancel(self, run_id: str) -> None:
        """Stop a run as an operator does; it may have ended before."""
        await asyncio.sleep(self._random.uniform(0, 0.01 * WORDS))
        request = written("DELETE", f"/runs/{run_id}", "", headers=self._operator)
        begun = time.monotonic()
        connection = await self._connections.one()
        try:
            answer = await connection.ask(request)
            await connection.read(answer)
        except BaseException:
            connection.close()
            raise
        self._connections.give_back(connection)
        self.counts.cancels.append(time.monotonic() - begun)
        if answer.status not in {200, 404}:
            self.counts.unexplained[f"DELETE: {answer.status} {answer.body[:200]!r}"] += 1

    def _is_good(self, kind: Kind, answer: Answer) -> bool:
        if answer.status == 429:
            self.counts.refused[kind.name] += 1
        elif b"an operator cancelled it" in answer.body and kind.cancel:
            self.counts.cancelled[kind.name] += 1
        elif problem := _problem_in(kind, answer):
            self._note(kind, problem)
        else:
            self.counts.answered[kind.name] += 1
            return True
        return False

    def _note(self, kind: Kind, problem: str) -> None:
        self.counts.unexplained[f"{kind.name}: {problem}"] += 1

    def _chance(self, percent: int) -> bool:
        return self._random.random() * 100 < percent


def _problem_in(kind: Kind, answer: Answer) -> str:
    if answer.status != 200:
        return f"{answer.status} {answer.body[:200]!r}"
    if kind.has_key:
        return ""
    if not kind.is_chat:
        return "" if answer.body == b'{"result":"hello"}' else f"{answer.body[:200]!r}"
    words = answer.body.count(b"word ")
    if words != WORDS:
        return f"{words} words of {WORDS}"
    if kind.streamed and b"data: [DONE]\n\n" not in answer.body:
        return "a stream without its end"
    return ""


def _is_replay(first: Answer, second: Answer) -> bool:
    return second.body == first.body and second.header("idempotent-replayed") == "true"
