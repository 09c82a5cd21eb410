"""A completion that is streamed is kept before its client reads that it has ended."""

import json
from typing import Any

import anyio
import pytest
from starlette.types import Message, Scope

from hayserve.events import ReadyMade, RunCancelled, RunFinished, StreamOpened, TextDelta
from hayserve.protocols.openai_chat.answer import Label
from hayserve.protocols.openai_chat.encode import ChunkEncoder
from hayserve.protocols.openai_chat.stored_stream import StoredStream
from protocols.openai_chat.served import Wrapper, application, connected, deployed

pytestmark = pytest.mark.anyio

LABEL = Label("0123", "it", created=1)
LAST: Message = {"type": "http.response.body", "body": b"", "more_body": False}


class Log:
    """What was kept and sent, in order."""

    def __init__(self) -> None:
        self.entries: list[str] = []
        self.kept: list[dict[str, Any]] = []
        self.stream = StoredStream(ChunkEncoder(LABEL), LABEL, keep=self.keep, send=self.send)

    async def keep(self, completion: dict[str, Any]) -> None:
        self.entries.append("kept")
        self.kept.append(completion)

    async def send(self, message: Message) -> None:
        self.entries.append(message["type"])


async def test_it_is_kept_once_and_before_the_last_message() -> None:
    log = Log()
    await log.stream.send({"type": "http.response.start", "status": 200})
    for event in (StreamOpened(), TextDelta("Hel"), TextDelta("lo"), RunFinished()):
        assert log.stream.encode(event)
    await log.stream.send({**LAST, "more_body": True})
    await log.stream.send(LAST)
    await log.stream.end()
    assert log.entries == ["http.response.start", LAST["type"], "kept", LAST["type"]]
    (whole,) = log.kept
    assert whole["choices"][0]["message"]["content"] == "Hello"
    assert (whole["id"], whole["object"]) == ("chatcmpl-0123", "chat.completion")


async def test_what_the_wrapper_built_is_called_as_the_stream_is() -> None:
    log = Log()
    message = {"role": "assistant", "content": "Hi"}
    built = {"id": "theirs", "object": "chat.completion", "choices": [{"message": message}]}
    log.stream.encode(ReadyMade(built))
    log.stream.encode(RunFinished())
    await log.stream.end()
    assert log.kept[0]["id"] == "chatcmpl-0123"


async def test_a_run_that_did_not_end_well_is_not_kept() -> None:
    log = Log()
    await log.stream.end()
    log.stream.encode(TextDelta("Hel"))
    log.stream.encode(RunCancelled())
    await log.stream.send(LAST)
    assert log.kept == []


class Talks(Wrapper):
    """Says one word, and the other one when it may."""

    def __init__(self) -> None:
        super().__init__()
        self.has_begun = anyio.Event()
        self.may_end = anyio.Event()

    async def run_chat_completion_async(
        self, model: str, messages: list[dict[str, Any]], body: dict[str, Any]
    ) -> Any:
        return self._words()

    async def _words(self) -> Any:
        yield "Hel"
        self.has_begun.set()
        await self.may_end.wait()
        yield "lo"


@pytest.mark.parametrize("goes_on", [True, False])
async def test_a_run_that_goes_on_without_its_client_is_kept(goes_on: bool) -> None:
    talks = Talks()
    messages = [{"role": "user", "content": "Hi"}]
    body = {"model": "it", "messages": messages, "stream": True, "store": True}
    requests = [{"type": "http.request", "body": json.dumps(body).encode(), "more_body": False}]

    async def receive() -> Message:
        if requests:
            return requests.pop()
        await talks.has_begun.wait()
        talks.may_end.set()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            talks.may_end.set()
            raise OSError

    policy = b"continue" if goes_on else b"cancel"
    scope: Scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/chat/completions",
        "query_string": b"",
        "headers": [(b"content-type", b"application/json"), (b"x-run-on-disconnect", policy)],
    }
    async with application(deployed("it", talks)) as app, connected(app) as client:
        with anyio.fail_after(5):
            await app(scope, receive, send)
        listed = (await client.get("/v1/chat/completions")).json()["data"]
    said = [each["choices"][0]["message"]["content"] for each in listed]
    assert said == (["Hello"] if goes_on else [])
