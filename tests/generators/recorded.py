"""An upstream on a real port that gives recorded answers, and what a generator makes of them."""

import asyncio
import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal, TypeVar

import openai
from haystack.components.generators.chat import OpenAIChatGenerator
from haystack.dataclasses import ChatMessage, StreamingChunk
from haystack.utils import Secret

ANSWERS = Path(__file__).parent / "answers"
STREAMS = sorted(path.stem for path in ANSWERS.glob("*.sse"))
WHOLE = sorted(path.stem for path in ANSWERS.glob("*.json"))

GeneratorT = TypeVar("GeneratorT", bound=OpenAIChatGenerator)
Then = Literal["next request", "close", "reset", "hang"]
How = Literal["sync", "async"]


@dataclass(frozen=True)
class Answer:
    """What the upstream sends, piece by piece and after events, and does then."""

    pieces: Sequence[bytes | threading.Event]
    then: Then = "next request"


@dataclass(frozen=True)
class Asked:
    """A request as it arrived."""

    connection: int
    line: str
    headers: dict[str, str]
    body: Any


def stream(name: str) -> bytes:
    return (ANSWERS / f"{name}.sse").read_bytes()


def whole(name: str) -> bytes:
    return (ANSWERS / f"{name}.json").read_bytes()


def head(status: str = "200 OK", **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode()


def streamed(body: bytes, *, in_bytes: int = 0) -> Answer:
    """As an upstream streams: chunks of one event, or of so many bytes each."""
    pieces = (
        [body[at : at + in_bytes] for at in range(0, len(body), in_bytes)]
        if in_bytes
        else [event + b"\n\n" for event in body.split(b"\n\n") if event]
    )
    chunks = [b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces]
    start = head(content_type="text/event-stream", transfer_encoding="chunked")
    return Answer([start, *chunks, b"0\r\n\r\n"])


def said(body: bytes, *, status: str = "200 OK", **headers: str) -> Answer:
    """An answer in one piece."""
    length = {"content_length": str(len(body))}
    return Answer([head(status, content_type="application/json", **length, **headers) + body])


@dataclass
class Upstream:
    """Answers each request by the next answer of `script`, and the last one ever after.

    `hung_up` is set when a connection has come to its end.
    """

    listener: socket.socket
    script: list[Answer]
    tls: ssl.SSLContext | None
    asked: list[Asked] = field(default_factory=list[Asked])
    open: list[socket.socket] = field(default_factory=list[socket.socket])
    threads: list[threading.Thread] = field(default_factory=list[threading.Thread])
    connections: int = 0
    hung_up: threading.Event = field(default_factory=threading.Event)

    @property
    def port(self) -> int:
        return int(self.listener.getsockname()[1])

    def accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.connections += 1
                self.open.append(connection)
                self.start(self.serve, connection, self.connections)

    def start(self, target: Callable[..., None], *arguments: object) -> None:
        self.threads.append(threading.Thread(target=target, args=arguments))
        self.threads[-1].start()

    def serve(self, connection: socket.socket, number: int) -> None:
        try:
            with suppress(OSError):
                if self.tls is not None:
                    connection = self.tls.wrap_socket(connection, server_side=True)
                    self.open.append(connection)
                with connection.makefile("rb") as requests:
                    self._answer_all(connection, requests, number=number)
        finally:
            connection.close()
            self.hung_up.set()

    def stop(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.threads[0].join()
        for one in self.open:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        for thread in self.threads:
            thread.join()

    def _answer_all(self, connection: socket.socket, requests: IO[bytes], *, number: int) -> None:
        then: Then = "next request"
        while then == "next request" and (line := requests.readline().decode().strip()):
            headers = dict(_headers(requests))
            body = requests.read(int(headers.get("content-length", 0)))
            self.asked.append(Asked(number, line, headers, json.loads(body or b"null")))
            answer = self.script.pop(0) if len(self.script) > 1 else self.script[0]
            then = answer.then
            _send(answer, connection)
            if then == "hang":
                requests.read()


def _send(answer: Answer, connection: socket.socket) -> None:
    for piece in answer.pieces:
        if isinstance(piece, bytes):
            connection.sendall(piece)
        else:
            piece.wait(5)
    if answer.then == "reset":
        at_once = struct.pack("ii", 1, 0)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)


def _headers(lines: Iterable[bytes]) -> Iterator[tuple[str, str]]:
    for line in lines:
        if line == b"\r\n":
            return
        name, _, value = line.decode().partition(":")
        yield name.lower(), value.strip()


@contextmanager
def upstream(*script: Answer, tls: ssl.SSLContext | None = None) -> Generator[Upstream]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = Upstream(listener, list(script), tls)
        serving.start(serving.accept)
        try:
            yield serving
        finally:
            serving.stop()


@dataclass
class Outcome:
    """What a run gave: its replies or its error, and the chunks before."""

    replies: list[ChatMessage] = field(default_factory=list[ChatMessage])
    chunks: list[StreamingChunk] = field(default_factory=list[StreamingChunk])
    error: Exception | None = None

    def comparable(self) -> dict[str, Any]:
        """All of it but the times and the generator's own name."""
        return {
            "chunks": [_comparable_chunk(chunk) for chunk in self.chunks],
            "replies": [_comparable_reply(reply) for reply in self.replies],
            "error": _comparable_error(self.error),
        }


def _comparable_chunk(chunk: StreamingChunk) -> dict[str, Any]:
    assert chunk.component_info is not None
    fields = {**vars(chunk), "component_info": chunk.component_info.name}
    return {**fields, "meta": {**chunk.meta, "received_at": len(chunk.meta["received_at"])}}


def _comparable_reply(reply: ChatMessage) -> dict[str, Any]:
    plain = reply.to_dict()
    plain["meta"].pop("completion_start_time", None)
    return plain


def _comparable_error(error: Exception | None) -> dict[str, Any] | None:
    if error is None:
        return None
    told = {"class": type(error), "text": str(error), "cause": type(error.__cause__).__name__}
    if isinstance(error, openai.APIError):
        told |= {"body": error.body, "code": error.code, "url": error.request.url.path}
    if isinstance(error, openai.APIStatusError):
        told |= {"status": error.status_code, "id": error.request_id}
        told |= {"answer": error.response.text}
    return told


def generator_of(kind: type[GeneratorT], server: Upstream, **arguments: Any) -> GeneratorT:
    url = f"http://127.0.0.1:{server.port}/v1"
    given: dict[str, Any] = {"api_base_url": url, "max_retries": 0, **arguments}
    return kind(Secret.from_token("key"), **given)


def ask(generator: OpenAIChatGenerator, how: How, *, streams: bool, **arguments: Any) -> Outcome:
    """One run of the generator, which is closed after it."""
    outcome = Outcome()
    arguments = {"messages": "What is hay?", **arguments}

    async def take(chunk: StreamingChunk) -> None:
        outcome.chunks.append(chunk)

    async def run_async() -> None:
        try:
            callback = take if streams else None
            outcome.replies = (await generator.run_async(streaming_callback=callback, **arguments))[
                "replies"
            ]
        finally:
            await generator.close_async()

    try:
        if how == "async":
            asyncio.run(run_async())
        else:
            callback = outcome.chunks.append if streams else None
            outcome.replies = generator.run(streaming_callback=callback, **arguments)["replies"]
    except Exception as error:  # noqa: BLE001 - it is compared
        outcome.error = error
    finally:
        generator.close()
    return outcome
