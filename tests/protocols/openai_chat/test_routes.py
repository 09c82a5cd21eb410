import json
import threading
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any

import anyio
import pytest
from haystack.components.agents import Agent
from haystack.components.generators.chat import MockChatGenerator
from haystack.dataclasses import ChatMessage, ToolCall
from haystack.tools.tool import Tool
from openai.types.chat import ChatCompletion
from openai.types.model import Model
from starlette.exceptions import HTTPException
from starlette.types import Message, Scope

from hayserve.testing import ScriptedChatGenerator
from hayserve.wrappers.messages import chat_messages_from_openai
from hayserve.wrappers.open_webui import create_status_event
from hayserve.wrappers.streaming import streaming_generator
from protocols.openai_chat.served import (
    LOADED_AT,
    Kept,
    Wrapper,
    application,
    ask,
    chunks_in,
    completion_in,
    connected,
    deployed,
    frames_in,
    said_in,
    served,
)


class Chat(Wrapper):
    """Answers with what a function makes of the call."""

    def __init__(self, answer: Callable[[dict[str, Any]], Any]) -> None:
        super().__init__()
        self._answer = answer

    def run_chat_completion(
        self, model: str, messages: list[dict[str, Any]], body: dict[str, Any]
    ) -> Any:
        return self._answer(body)


class AsyncChat(Chat):
    async def run_chat_completion_async(
        self, model: str, messages: list[dict[str, Any]], body: dict[str, Any]
    ) -> Any:
        return self._answer(body)


class Api(Wrapper):
    def run_api(self) -> str:
        return "Hi"


class Responding(Wrapper):
    def run_response(
        self, model: str, input_items: list[dict[str, Any]], body: dict[str, Any]
    ) -> str:
        return "Hi"


def words(body: dict[str, Any]) -> Generator[str, None, None]:
    yield "Hello, "
    yield body["messages"][-1]["content"]


async def words_async(body: dict[str, Any]) -> AsyncGenerator[str, None]:
    for word in words(body):
        yield word


ANSWERS = [
    Chat(lambda _: "Hello, Hello"),
    Chat(words),
    AsyncChat(lambda _: "Hello, Hello"),
    AsyncChat(words),
    AsyncChat(words_async),
]


@pytest.mark.anyio
@pytest.mark.parametrize("wrapper", ANSWERS)
@pytest.mark.parametrize("prefix", ["", "/v1"])
async def test_an_answer_of_any_form_is_a_completion(wrapper: Chat, prefix: str) -> None:
    async with served(deployed("it", wrapper)) as client:
        body = {"model": "it", "messages": [{"role": "user", "content": "Hello"}]}
        response = await client.post(f"{prefix}/chat/completions", json=body)
    completion = completion_in(response)
    assert completion.choices[0].message.content == "Hello, Hello"
    assert completion.choices[0].finish_reason == "stop"
    assert completion.model == "it"
    assert completion.id == f"chatcmpl-{response.headers['x-request-id']}"


@pytest.mark.anyio
@pytest.mark.parametrize("wrapper", ANSWERS)
async def test_an_answer_of_any_form_is_a_stream(wrapper: Chat) -> None:
    async with served(deployed("it", wrapper, "gpt-4o")) as client:
        response = await ask(client, "gpt-4o", stream=True)
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.headers["cache-control"] == "no-cache"
    assert response.headers["x-accel-buffering"] == "no"
    chunks = chunks_in(response.content)
    assert said_in(chunks) == "Hello, Hello"
    assert [chunk.choices[0].delta.role for chunk in chunks].count("assistant") == 1
    assert [c.choices[0].finish_reason for c in chunks if c.choices[0].finish_reason] == ["stop"]
    assert {chunk.model for chunk in chunks} == {"gpt-4o"}


def weather_in(city: str) -> str:
    return f"sunny in {city}"


def agent(*, exit_conditions: list[str]) -> Agent:
    call = ToolCall("weather", {"city": "Paris"}, id="call_a")
    replies = [ChatMessage.from_assistant(tool_calls=[call]), "It is sunny."]
    city = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    tool = Tool("weather", "The weather in a city.", city, function=weather_in)
    return Agent(
        chat_generator=MockChatGenerator(replies), tools=[tool], exit_conditions=exit_conditions
    )


def agent_answer(body: dict[str, Any]) -> Any:
    messages = chat_messages_from_openai(body["messages"])
    return streaming_generator(
        agent(exit_conditions=["text"]), pipeline_run_args={"messages": messages}
    )


@pytest.mark.anyio
async def test_an_agents_own_tool_calls_never_reach_the_client() -> None:
    async with served(deployed("it", Chat(agent_answer))) as client:
        streamed = await ask(client, stream=True)
        plain = completion_in(await ask(client))
    chunks = chunks_in(streamed.content)
    assert said_in(chunks) == "It is sunny."
    assert all(chunk.choices[0].delta.tool_calls is None for chunk in chunks)
    assert [c.choices[0].finish_reason for c in chunks if c.choices[0].finish_reason] == ["stop"]
    assert plain.choices[0].message.content == "It is sunny."
    assert plain.choices[0].message.tool_calls is None
    assert plain.choices[0].finish_reason == "stop"


@pytest.mark.anyio
async def test_a_message_with_tool_calls_asks_the_client_to_execute_them() -> None:
    call = ToolCall("weather", {"city": "Paris"}, id="call_a")
    message = ChatMessage.from_assistant(tool_calls=[call])
    async with served(deployed("it", Chat(lambda _: message))) as client:
        plain = completion_in(await ask(client)).choices[0]
        streamed = chunks_in((await ask(client, stream=True)).content)
    assert plain.finish_reason == streamed[-1].choices[0].finish_reason == "tool_calls"
    assert plain.message.tool_calls is not None
    assert plain.message.tool_calls[0].to_dict() == {
        "id": "call_a",
        "type": "function",
        "function": {"name": "weather", "arguments": '{"city": "Paris"}'},
    }


def built_by_the_wrapper(content: str) -> ChatCompletion:
    message = {"role": "assistant", "content": content}
    return ChatCompletion.model_validate(
        {
            "id": "theirs",
            "object": "chat.completion",
            "created": 1,
            "model": "theirs",
            "choices": [{"index": 0, "message": message, "finish_reason": "length"}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
        }
    )


@pytest.mark.anyio
async def test_a_completion_that_the_wrapper_built_is_sent_or_streamed() -> None:
    async with served(deployed("it", Chat(lambda _: built_by_the_wrapper("Hi")))) as client:
        plain = completion_in(await ask(client))
        stream = await ask(client, stream=True, stream_options={"include_usage": True})
    assert plain == built_by_the_wrapper("Hi")
    *chunks, last = chunks_in(stream.content)
    assert said_in(chunks) == "Hi"
    assert chunks[-1].choices[0].finish_reason == "length"
    assert last.usage is not None
    assert last.usage.total_tokens == 3


@pytest.mark.anyio
async def test_events_for_the_user_interface_come_while_a_stream_is_open() -> None:
    async with served(
        deployed("it", Chat(lambda _: iter([create_status_event("Searching"), "Found."])))
    ) as client:
        streamed = await ask(client, stream=True)
        plain = completion_in(await ask(client))
    events = [frame["event"] for frame in frames_in(streamed.content) if "event" in frame]
    assert [event["data"]["description"] for event in events] == ["Searching"]
    assert said_in(chunks_in(streamed.content)) == "Found."
    assert plain.choices[0].message.content == "Found."


def fails_at_once(body: dict[str, Any]) -> Generator[str, None, None]:
    raise RuntimeError("no model")
    yield ""


def fails_later(body: dict[str, Any]) -> Generator[str, None, None]:
    yield "Hello"
    raise RuntimeError("no model")


def refuses(body: dict[str, Any]) -> str:
    raise HTTPException(429, "Come back later.", {"retry-after": "7"})


@pytest.mark.anyio
@pytest.mark.parametrize("stream", [False, True])
async def test_a_failure_before_the_first_word_is_an_error_with_a_status(stream: bool) -> None:
    async with served(deployed("it", Chat(fails_at_once))) as client:
        response = await ask(client, stream=stream)
    assert response.status_code == 500
    error = response.json()["error"]
    assert "RuntimeError: no model" in error["message"]
    assert (error["type"], error["code"]) == ("server_error", "wrapper_failed")
    assert error["run_id"] == response.headers["x-request-id"]


@pytest.mark.anyio
@pytest.mark.parametrize("stream", [False, True])
async def test_a_result_that_is_no_answer_is_an_error_with_a_status(stream: bool) -> None:
    async with served(deployed("it", Chat(lambda _: {"replies": []}))) as client:
        response = await ask(client, stream=stream)
    assert response.status_code == 500
    assert "returned 'dict' where a string" in response.json()["error"]["message"]


@pytest.mark.anyio
@pytest.mark.parametrize("stream", [False, True])
async def test_a_wrapper_may_refuse_with_a_status_of_its_own(stream: bool) -> None:
    async with served(deployed("it", Chat(refuses))) as client:
        response = await ask(client, stream=stream)
    assert (response.status_code, response.headers["retry-after"]) == (429, "7")
    assert response.json()["error"]["message"] == "Come back later."


@pytest.mark.anyio
async def test_a_failure_in_the_middle_of_a_stream_is_its_last_frame() -> None:
    async with served(deployed("it", Chat(fails_later))) as client:
        streamed = await ask(client, stream=True)
        plain = await ask(client)
    assert streamed.status_code == 200
    *said, failed = frames_in(streamed.content)
    assert [frame["choices"][0]["delta"].get("content") for frame in said] == ["", "Hello"]
    assert "RuntimeError: no model" in failed["error"]["message"]
    assert plain.status_code == 500


@pytest.mark.anyio
async def test_requests_that_cannot_be_served_are_refused() -> None:
    async with served(deployed("it", Chat(words)), deployed("api", Api())) as client:
        unknown = await ask(client, "no")
        api = await ask(client, "api")
        empty = await ask(client, messages=[])
        put = await client.put("/v1/chat/completions")
    assert unknown.status_code == 404
    assert unknown.json()["error"]["code"] == "model_not_found"
    assert unknown.json()["error"]["param"] == "model"
    assert api.status_code == 400
    assert "POST /api/run" in api.json()["error"]["message"]
    assert empty.status_code == 400
    assert empty.json()["error"]["param"] == "messages"
    assert put.status_code == 405
    assert put.headers["allow"] == "GET, HEAD, POST"


@pytest.mark.anyio
@pytest.mark.parametrize("prefix", ["", "/v1"])
async def test_every_name_that_can_answer_is_a_model(prefix: str) -> None:
    deployments = [
        deployed("it", Chat(words), "gpt-4o", "org/it"),
        deployed("api", Api()),
        deployed("responding", Responding()),
    ]
    async with served(*deployments) as client:
        response = await client.get(f"{prefix}/models")
        one = await client.get(f"{prefix}/models/org/it")
        head = await client.head(f"{prefix}/models")
    assert response.json()["object"] == "list"
    models = [Model.model_validate(each, strict=True) for each in response.json()["data"]]
    assert [model.id for model in models] == ["it", "gpt-4o", "org/it", "responding"]
    assert {model.owned_by for model in models} == {"hayserve"}
    assert {model.created for model in models} == {int(LOADED_AT.timestamp())}
    assert Model.model_validate(one.json(), strict=True) == models[2]
    assert (head.status_code, head.content) == (200, b"")


@pytest.mark.anyio
async def test_what_is_no_model_is_not_found() -> None:
    async with served(deployed("api", Api())) as client:
        unknown = await client.get("/v1/models/no")
        api = await client.get("/v1/models/api")
    assert (unknown.status_code, api.status_code) == (404, 404)
    assert unknown.json()["error"]["code"] == "model_not_found"
    assert api.json()["error"]["message"] == (
        "'api' is no model: it cannot chat. It answers POST /api/run instead."
    )


class Waiting(Wrapper):
    """Never answers; says when it is called and when it is stopped."""

    def __init__(self) -> None:
        super().__init__()
        self.called = anyio.Event()
        self.stopped = anyio.Event()

    async def run_chat_completion_async(
        self, model: str, messages: list[dict[str, Any]], body: dict[str, Any]
    ) -> str:
        self.called.set()
        try:
            await anyio.sleep_forever()
        finally:
            self.stopped.set()
        raise AssertionError


@pytest.mark.anyio
@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_leaves_stops_the_run_that_it_waits_for(stream: bool) -> None:
    waiting = Waiting()
    body = {"model": "it", "messages": [{"role": "user"}], "stream": stream}
    requests = [{"type": "http.request", "body": json.dumps(body).encode(), "more_body": False}]

    async def receive() -> Message:
        if requests:
            return requests.pop()
        await waiting.called.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None: ...

    async with application(deployed("it", waiting)) as app:
        scope: Scope = {
            "type": "http",
            "method": "POST",
            "path": "/v1/chat/completions",
            "query_string": b"",
            "headers": [(b"content-type", b"application/json")],
        }
        await app(scope, receive, send)
        with anyio.fail_after(5):
            await waiting.stopped.wait()


@pytest.mark.anyio
async def test_a_sync_generator_runs_in_a_thread() -> None:
    threads: list[int] = []

    def answer(body: dict[str, Any]) -> Generator[str, None, None]:
        threads.append(threading.get_ident())
        yield "Hi"

    async with served(deployed("it", Chat(answer))) as client:
        completion_in(await ask(client))
    assert threading.get_ident() not in threads


FILE = {"type": "file", "file": {"filename": "a.txt", "file_data": "data:text/plain;base64,YWJj"}}


class Sent:
    """What is uploaded."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    async def read(self, size: int = -1) -> bytes:
        data, self._data = self._data[:size], self._data[size:]
        return data


def last_part(body: dict[str, Any]) -> str:
    return json.dumps(body["messages"][-1]["content"][-1])


@pytest.mark.anyio
@pytest.mark.parametrize("stream", [False, True])
async def test_a_file_that_is_named_is_there_for_the_wrapper(stream: bool) -> None:
    async with application(deployed("it", Chat(last_part))) as app, connected(app) as client:
        kept: Kept = app.state.kept
        about: dict[str, Any] = {
            "owner": "",
            "name": "a.txt",
            "purpose": "user_data",
            "media_type": None,
        }
        file = await kept.shelf.take(Sent(b"abc"), **about)
        part = {"type": "file", "file": {"file_id": file.id}}
        messages = [{"role": "user", "content": [{"type": "text", "text": "Read."}, part]}]
        answer = await ask(client, messages=messages, stream=stream, store=True)
        ids = [each["id"] for each in (await client.get("/v1/chat/completions")).json()["data"]]
        listed = await client.get(f"/v1/chat/completions/{ids[0]}/messages")
        foreign = await client.post(
            "/v1/chat/completions",
            json={"model": "it", "messages": messages},
            headers={"authorization": "Bearer other"},
        )
    assert answer.status_code == 200, answer.text
    said = said_in(chunks_in(answer.content)) if stream else completion_in(answer).choices[0]
    assert json.loads(said if isinstance(said, str) else said.message.content or "") == FILE
    assert listed.json()["data"][0]["content_parts"] == messages[0]["content"]
    assert foreign.status_code == 404
    assert foreign.json()["error"]["param"] == "file_id"


@pytest.mark.anyio
async def test_a_file_that_is_not_kept_here_is_the_wrappers_business() -> None:
    part = {"type": "file", "file": {"file_id": "file-1"}}
    async with served(deployed("it", Chat(last_part))) as client:
        answer = await ask(client, messages=[{"role": "user", "content": [part]}])
    assert json.loads(completion_in(answer).choices[0].message.content or "") == part


class Forecasting(Wrapper):
    def setup(self) -> None:
        script = [ToolCall("weather", {"city": "Rome"}, id="c"), "It rains."]
        self.model = ScriptedChatGenerator(script)
        self.agent = Agent(chat_generator=self.model)

    def run_chat_completion(self, model: str, messages: Any, body: Any) -> Any:
        return streaming_generator(
            self.agent, pipeline_run_args={"messages": chat_messages_from_openai(messages)}
        )


@pytest.mark.anyio
async def test_a_client_executes_its_own_tools_and_the_turn_goes_on() -> None:
    wrapper = Forecasting()
    wrapper.setup()
    tools: list[Any] = [{"type": "function", "function": {"name": "weather", "parameters": {}}}]
    messages: list[Any] = [{"role": "user", "content": "Weather?"}]
    async with served(deployed("it", wrapper)) as client:
        asked = completion_in(await ask(client, messages=messages, tools=tools)).choices[0]
        [call] = asked.message.tool_calls or []
        messages += [
            asked.message.model_dump(exclude_none=True),
            {"role": "tool", "tool_call_id": call.id, "content": "rain"},
        ]
        told = completion_in(await ask(client, messages=messages, tools=tools)).choices[0]

    assert (asked.finish_reason, asked.message.content) == ("tool_calls", None)
    assert (told.finish_reason, told.message.content) == ("stop", "It rains.")
    assert len(wrapper.model.received[-1]) == 3
