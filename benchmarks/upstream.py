"""A stand-in for OpenAI that answers every chat at once with 200 tokens, from bytes made before.

    python -m benchmarks.upstream 9000

It runs beside the load client, so that what it costs is not the server's.
"""

import asyncio
import json
import subprocess
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, cast

import uvloop

from benchmarks.calls import TOKEN, TOKENS
from benchmarks.cores import client_core, started_on
from benchmarks.servers import ROOT
from soak.server import free_port

TOKENS_AT_A_TIME = 10
HOST = "127.0.0.1"


def _chunk(delta: Mapping[str, Any], *, reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
    fields = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "it"}
    return _event(json.dumps({**fields, "choices": [choice]}, separators=(",", ":")).encode())


def _event(data: bytes) -> bytes:
    """An event of a stream in a chunk of HTTP, as such servers send it."""
    event = b"data: %s\n\n" % data
    return b"%x\r\n%s\r\n" % (len(event), event)


def streamed() -> Sequence[bytes]:
    """The answer to a call that asks for a stream, some tokens at a time."""
    head = (
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    )
    first = _chunk({"role": "assistant", "content": ""})
    last = _chunk({}, reason="stop") + _event(b"[DONE]") + b"0\r\n\r\n"
    some = _chunk({"content": TOKEN}) * TOKENS_AT_A_TIME
    return [head + first, *[some] * (TOKENS // TOKENS_AT_A_TIME), last]


class Upstream(asyncio.Protocol):
    """One connection that is asked again and again."""

    def __init__(self, answer: Sequence[bytes]) -> None:
        self._answer = answer
        self._arrived = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        self._arrived += data
        head, end, body = self._arrived.partition(b"\r\n\r\n")
        if end and len(body) >= _length(head):
            self._arrived = b""
            self._send(0)

    def _send(self, number: int) -> None:
        """Send a piece of the answer, and the next when others had their turn."""
        assert self._transport is not None
        if number < len(self._answer) and not self._transport.is_closing():
            self._transport.write(self._answer[number])
            asyncio.get_running_loop().call_soon(self._send, number + 1)


def _length(head: bytes) -> int:
    _, _, after = head.lower().partition(b"content-length:")
    return int(after.partition(b"\r\n")[0] or 0)


async def serve(port: int) -> None:
    answer = streamed()
    server = await asyncio.get_running_loop().create_server(lambda: Upstream(answer), HOST, port)
    print("ready", flush=True)
    await server.serve_forever()


@contextmanager
def upstream() -> Generator[Mapping[str, str]]:
    """It runs for as long as the block lasts; gives the variables that wrappers find it by."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.upstream", str(port)]
    with started_on(client_core()):
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        yield {"BENCHMARK_UPSTREAM": f"http://{HOST}:{port}/v1"}
    finally:
        process.kill()
        process.communicate()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
