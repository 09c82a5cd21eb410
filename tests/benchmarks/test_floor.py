"""The floor, and the stand-in for OpenAI."""

from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import pytest

from benchmarks.calls import TOKENS, Calls, Task
from benchmarks.client import run
from benchmarks.floor import create_app
from benchmarks.upstream import upstream


async def sent_by(answer: bytes, folder: Path, patch: pytest.MonkeyPatch) -> list[Any]:
    (folder / "answer").write_bytes(answer)
    patch.setenv("FLOOR_ANSWER", str(folder / "answer"))
    arriving = iter([{"more_body": True}, {"more_body": False}])
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        return next(arriving)

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    await create_app()({"type": "http"}, receive, send)
    return sent


@pytest.mark.anyio
async def test_a_stream_is_sent_event_by_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = b"text/event-stream\ndata: a\n\ndata: b\n\n"
    start, *pieces = await sent_by(answer, tmp_path, monkeypatch)

    assert start["headers"] == [(b"content-type", b"text/event-stream")]
    assert [piece["body"] for piece in pieces] == [b"data: a\n\n", b"data: b\n\n"]
    assert [piece["more_body"] for piece in pieces] == [True, False]


@pytest.mark.anyio
async def test_anything_else_is_sent_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, only = await sent_by(b'application/json\n{"a":1}', tmp_path, monkeypatch)

    assert (b"content-length", b"7") in start["headers"]
    assert only["body"] == b'{"a":1}'


@pytest.mark.anyio
async def test_the_stand_in_for_openai_streams_its_tokens() -> None:
    with upstream() as variables:
        port = int(variables["BENCHMARK_UPSTREAM"].removesuffix("/v1").rpartition(":")[2])
        calls = Calls("/v1/chat", "{}", 2, again=False, tokens=TOKENS, ending="data: [DONE]")
        found = await run(Task(port, (calls,), patience=10))

    assert found.failures == {}
    assert found.tokens == 2 * TOKENS
