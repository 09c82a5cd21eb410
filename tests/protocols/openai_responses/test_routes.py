"""Requests for a response, from the wire to the wrapper and back."""

import json
from collections.abc import AsyncGenerator, Generator
from typing import Any

import anyio
import pytest
from haystack.dataclasses import ReasoningContent, StreamingChunk, ToolCallDelta
from openai.types.responses import Response
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import Message

from hayserve.wrappers.base import BasePipelineWrapper
from protocols.openai_responses.serving import serving, serving_app

pytestmark = pytest.mark.anyio


class Echo(BasePipelineWrapper):
    def setup(self) -> None:
        return

    def run_response(
        self,
        model: str,
        input_items: list[dict[str, Any]],
        body: dict[str, Any],
        *,
        headers: Headers | None = None,
    ) -> Any:
        assert headers is not None
        return f"{model}: {input_items[0]['content']} for {headers['x-tenant']}"


class Streams(BasePipelineWrapper):
    """Thinks, says something and asks the client for a call."""

    def setup(self) -> None:
        return

    def run_response(
        self, model: str, input_items: list[dict[str, Any]], body: dict[str, Any]
    ) -> Generator[object]:
        call = ToolCallDelta(index=0, tool_name="add", id="call_a", arguments="[1]")
        yield StreamingChunk("", reasoning=ReasoningContent("hm"), index=0)
        yield "Hello"
        yield Status()
        yield StreamingChunk("", tool_calls=[call], index=0)
        yield StreamingChunk("", finish_reason="tool_calls")


class Status:
    def to_event_dict(self) -> dict[str, Any]:
        return {"type": "status", "data": {"done": False}}


class Chats(BasePipelineWrapper):
    def setup(self) -> None:
        return

    async def run_chat_completion_async(
        self, model: str, messages: list[dict[str, Any]], body: dict[str, Any]
    ) -> AsyncGenerator[str]:
        return self._stream(messages)

    async def _stream(self, messages: list[dict[str, Any]]) -> AsyncGenerator[str]:
        for message in messages:
            yield f"{message['role']}: {message['content']}\n"


class Fails(BasePipelineWrapper):
    """Fails where the input says."""

    def setup(self) -> None:
        return

    def run_response(
        self, model: str, input_items: list[dict[str, Any]], body: dict[str, Any]
    ) -> Any:
        match input_items[0]["content"]:
            case "refuse":
                raise HTTPException(429, "Slow down.")
            case "answer nothing":
                return None
            case where:
                return self._stream(late=where == "late")

    def _stream(self, *, late: bool) -> Generator[str]:
        if late:
            yield "Hel"
        raise ValueError("no model")


class Waits(BasePipelineWrapper):
    """Says one word and then waits until it is cancelled."""

    def setup(self) -> None:
        self.has_started = anyio.Event()
        self.has_stopped = anyio.Event()

    async def run_response_async(
        self, model: str, input_items: list[dict[str, Any]], body: dict[str, Any]
    ) -> AsyncGenerator[str]:
        return self._stream()

    async def _stream(self) -> AsyncGenerator[str]:
        try:
            self.has_started.set()
            yield "Hel"
            await anyio.sleep_forever()
        finally:
            self.has_stopped.set()


def frames_of(text: str) -> list[tuple[str, dict[str, Any]]]:
    frames = [frame.split("\n") for frame in text.split("\n\n")[:-1]]
    assert frames.pop() == ["data: [DONE]"]
    return [(event[7:], json.loads(data[6:])) for event, data in frames]


@pytest.mark.parametrize("path", ["/v1/responses", "/responses"])
async def test_a_response_is_complete_enough_for_openais_own_reader(path: str) -> None:
    tools: list[dict[str, Any]] = [
        {"type": "function", "name": "add", "parameters": {}, "strict": True}
    ]
    body: dict[str, Any] = {
        "model": "echo-alias",
        "input": "Hi",
        "tools": tools,
        "temperature": 0.5,
    }
    async with serving(echo=Echo()) as client:
        answer = await client.post(path, json=body, headers={"x-tenant": "a"})

    response = Response.model_validate_json(answer.content, strict=True)
    assert response.output_text == "echo-alias: Hi for a"
    assert response.model == "echo-alias"
    assert response.status == "completed"
    assert response.temperature == 0.5
    assert answer.json()["tools"] == [{"description": None, **tools[0]}]


async def test_a_stream_that_was_not_asked_for_is_collected_reasoning_and_calls_too() -> None:
    async with serving(streams=Streams()) as client:
        answer = await client.post("/v1/responses", json={"model": "streams", "input": "Hi"})

    response = Response.model_validate_json(answer.content, strict=True)
    assert [item.type for item in response.output] == ["reasoning", "message", "function_call"]


async def test_a_stream_arrives_as_named_events() -> None:
    async with serving(streams=Streams()) as client:
        body = {"model": "streams", "input": "Hi", "stream": True}
        answer = await client.post("/v1/responses", json=body)

    frames = frames_of(answer.text)
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert frames[0][0] == "response.created"
    assert frames[-1][0] == "response.completed"
    assert all(event == data["type"] for event, data in frames)
    assert "status" not in dict(frames)


async def test_a_client_that_shows_events_gets_the_wrappers() -> None:
    async with serving(streams=Streams()) as client:
        body = {"model": "streams", "input": "Hi", "stream": True}
        headers = {"X-Hayserve-Events": "true"}
        answer = await client.post("/v1/responses", json=body, headers=headers)

    assert dict(frames_of(answer.text))["status"]["data"] == {"done": False}


@pytest.mark.parametrize("stream", [False, True])
async def test_a_wrapper_that_only_chats_answers_too(stream: bool) -> None:
    body = {"model": "chats", "input": "Hi", "instructions": "Be kind.", "stream": stream}
    async with serving(chats=Chats()) as client:
        answer = await client.post("/v1/responses", json=body)

    response = frames_of(answer.text)[-1][1]["response"] if stream else answer.json()
    assert response["output"][0]["content"][0]["text"] == "system: Be kind.\nuser: Hi\n"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("where", "status", "said"),
    [
        ("refuse", 429, "Slow down."),
        ("answer nothing", 500, "returned 'NoneType'"),
        ("early", 500, "ValueError: no model"),
    ],
)
async def test_a_failure_before_the_first_word_has_a_status(
    where: str, status: int, said: str, *, stream: bool
) -> None:
    async with serving(fails=Fails()) as client:
        body = {"model": "fails", "input": where, "stream": stream}
        answer = await client.post("/v1/responses", json=body)

    assert answer.status_code == status
    assert said in answer.json()["error"]["message"]


async def test_a_failure_after_the_first_word_ends_the_stream_with_the_reason() -> None:
    async with serving(fails=Fails()) as client:
        body = {"model": "fails", "input": "late", "stream": True}
        answer = await client.post("/v1/responses", json=body)

    event, data = frames_of(answer.text)[-1]
    assert answer.status_code == 200
    assert event == "response.failed"
    assert "ValueError: no model" in data["response"]["error"]["message"]


async def test_a_failure_after_the_first_word_is_a_status_where_no_stream_was_asked_for() -> None:
    async with serving(fails=Fails()) as client:
        answer = await client.post("/v1/responses", json={"model": "fails", "input": "late"})

    assert answer.status_code == 500


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({"model": "nobody"}, 404, "model"),
        ({"model": "echo", "previous_response_id": "resp_1"}, 400, "previous_response_id"),
        ({}, 400, "model"),
    ],
)
async def test_a_request_that_cannot_be_served_says_which_parameter(
    body: dict[str, Any], status: int, param: str
) -> None:
    async with serving(echo=Echo()) as client:
        answer = await client.post("/v1/responses", json=body)

    assert answer.status_code == status
    assert answer.json()["error"]["param"] == param


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_leaves_stops_the_run(stream: bool) -> None:
    waits = Waits()
    async with serving_app(waits=waits) as app:
        body = json.dumps({"model": "waits", "input": "Hi", "stream": stream}).encode()
        messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> Message:
            if messages:
                return messages.pop()
            await waits.has_started.wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            return

        scope: dict[str, Any] = {
            "type": "http",
            "method": "POST",
            "path": "/v1/responses",
            "headers": [(b"content-type", b"application/json")],
            "query_string": b"",
        }
        with anyio.fail_after(5):
            await app(scope, receive, send)
            await waits.has_stopped.wait()


@pytest.mark.parametrize("part", [5, [1], None])
async def test_a_part_that_is_no_object_is_named(part: object) -> None:
    body = {"model": "chats", "input": [{"role": "user", "content": [part]}]}
    async with serving(chats=Chats()) as client:
        answer = await client.post("/v1/responses", json=body)

    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "input[0].content[0]"
