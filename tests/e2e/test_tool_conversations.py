"""Conversations of five turns with tools, with OpenAI's own client and those built like it."""

import json
import os
import sys
from collections.abc import Sequence
from contextlib import closing
from itertools import product
from pathlib import Path
from typing import Any, Literal, TypeAlias

import pytest
from haystack.components.generators.chat import OpenAIChatGenerator, OpenAIResponsesChatGenerator
from haystack.dataclasses import ChatMessage, StreamingChunk
from haystack.tools.tool import Tool
from haystack.utils import Secret
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_openai import ChatOpenAI
from openai import OpenAI
from openai.types.responses import Response, ResponseFunctionToolCall
from openai.types.responses.response_output_item import McpCall
from pydantic import SecretStr

from e2e.clients import printed_by, seen_by
from e2e.five_turns import ANSWERS, CITIES, MODEL, TURNS, Weather, chat_tool, response_tool

HERE = Path(__file__).parent
Way: TypeAlias = Literal["previous response", "conversation", "stateless"]
WAYS: tuple[Way, ...] = ("previous response", "conversation", "stateless")
ADDED = ("tools_agent", "add", {"a": 2, "b": 3}, "5")

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]
streams = pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])


class Chat:
    """A conversation over chat completions, all of which is sent with each turn."""

    def __init__(self, client: OpenAI, *, streamed: bool) -> None:
        self.weather = Weather()
        self._client = client
        self._streamed = streamed
        self._messages: list[Any] = []

    def say(self, text: str) -> str | None:
        self._messages.append({"role": "user", "content": text})
        while calls := self._answer().tool_calls:
            self._messages += [self._executed(call) for call in calls]
        content: str | None = self._messages[-1].content
        return content

    def _executed(self, call: Any) -> dict[str, str]:
        assert (call.type, call.function.name) == ("function", "get_weather")
        said = self.weather(**json.loads(call.function.arguments))
        return {"role": "tool", "tool_call_id": call.id, "content": said}

    def _answer(self) -> Any:
        asked = {"model": MODEL, "messages": self._messages, "tools": [chat_tool()]}
        completions: Any = self._client.chat.completions
        if self._streamed:
            with completions.stream(**asked) as stream:
                (choice,) = stream.get_final_completion().choices
        else:
            (choice,) = completions.create(**asked).choices
        message: Any = choice.message
        assert choice.finish_reason == ("tool_calls" if message.tool_calls else "stop")
        self._messages.append(message)
        return message


class Responses:
    """A conversation over the Responses API, which goes on in one of the ways there are."""

    def __init__(self, client: OpenAI, way: Way, *, streamed: bool) -> None:
        self.weather = Weather()
        self.executed: list[tuple[str, str, dict[str, int], str | None]] = []
        self._client = client
        self._way = way
        self._streamed = streamed
        self._goes_on: dict[str, Any] = {}
        self._items: list[Any] = []
        if way == "conversation":
            self._goes_on = {"conversation": client.conversations.create().id}
        if way == "stateless":
            self._goes_on = {"store": False}

    def say(self, text: str) -> str:
        response = self._answer([{"role": "user", "content": text}])
        while calls := [item for item in response.output if _is_call(item)]:
            response = self._answer([self._output(call) for call in calls])
        return response.output_text

    def _output(self, call: Any) -> dict[str, str]:
        assert call.name == "get_weather"
        said = self.weather(**json.loads(call.arguments))
        return {"type": "function_call_output", "call_id": call.call_id, "output": said}

    def _answer(self, items: Sequence[Any]) -> Response:
        self._items += items
        sent = self._items if self._way == "stateless" else items
        asked = {"model": MODEL, "input": sent, "tools": [response_tool()], **self._goes_on}
        response = self._asked(asked)
        assert response.status == "completed"
        self._items += response.output
        self._note(response)
        if self._way == "previous response":
            self._goes_on = {"previous_response_id": response.id}
        return response

    def _asked(self, asked: dict[str, Any]) -> Response:
        responses: Any = self._client.responses
        if not self._streamed:
            whole: Response = responses.create(**asked)
            return whole
        with responses.stream(**asked) as stream:
            final: Response = stream.get_final_response()
        return final

    def _note(self, response: Response) -> None:
        for item in response.output:
            if isinstance(item, McpCall):
                arguments = json.loads(item.arguments)
                self.executed.append((item.server_label, item.name, arguments, item.output))


def _is_call(item: Any) -> bool:
    return isinstance(item, ResponseFunctionToolCall)


@streams
def test_openai_python_talks_over_chat_completions(client: OpenAI, streamed: bool) -> None:
    chat = Chat(client, streamed=streamed)
    assert [chat.say(text) for text in TURNS] == ANSWERS
    assert chat.weather.cities == CITIES


@streams
@pytest.mark.parametrize("way", WAYS)
def test_openai_python_talks_over_responses(client: OpenAI, way: Way, streamed: bool) -> None:
    responses = Responses(client, way, streamed=streamed)
    assert [responses.say(text) for text in TURNS] == ANSWERS
    assert responses.weather.cities == CITIES
    assert responses.executed == [ADDED]


LANGCHAIN: dict[str, dict[str, Any]] = {
    "chat completions": {"stream_usage": True},
    "responses": {"use_responses_api": True},
    "previous response": {"use_responses_api": True, "use_previous_response_id": True},
    "stateless": {"use_responses_api": True, "store": False},
}


@streams
@pytest.mark.parametrize("way", LANGCHAIN)
def test_langchain_talks(server: str, way: str, streamed: bool) -> None:
    url, key = f"{server}/v1", SecretStr("none")
    chat: Any = ChatOpenAI(model=MODEL, base_url=url, api_key=key, max_retries=0, **LANGCHAIN[way])
    asked = chat.bind_tools([chat_tool()])
    weather, messages, answers = Weather(), list[BaseMessage](), list[str]()
    for text in TURNS:
        messages.append(HumanMessage(text))
        while calls := (answer := _answer_of(asked, messages, streamed=streamed)).tool_calls:
            messages += [
                ToolMessage(weather(**call["args"]), tool_call_id=call["id"]) for call in calls
            ]
        answers.append(answer.text)
    assert answers == ANSWERS
    assert weather.cities == CITIES


def _answer_of(asked: Any, messages: list[BaseMessage], *, streamed: bool) -> AIMessage:
    if streamed:
        first, *rest = asked.stream(messages)
        answer = sum(rest, start=first)
    else:
        answer = asked.invoke(messages)
    assert isinstance(answer, AIMessage)
    messages.append(answer)
    return answer


@streams
@pytest.mark.parametrize("kind", [OpenAIChatGenerator, OpenAIResponsesChatGenerator])
def test_haystacks_own_generators_talk(server: str, kind: Any, streamed: bool) -> None:
    weather, chunks = Weather(), list[StreamingChunk]()
    described = chat_tool()["function"]
    tool = Tool("get_weather", described["description"], described["parameters"], weather)
    generator = kind(
        api_key=Secret.from_token("none"),
        model=MODEL,
        api_base_url=f"{server}/v1",
        streaming_callback=chunks.append if streamed else None,
        tools=[tool],
        max_retries=0,
    )
    with closing(generator):
        assert _talk(generator, weather) == ANSWERS
    assert weather.cities == CITIES
    assert "".join(chunk.content for chunk in chunks) == ("".join(ANSWERS) if streamed else "")


def _talk(generator: Any, weather: Weather) -> list[str | None]:
    messages, answers = list[ChatMessage](), list[str | None]()
    for text in TURNS:
        messages.append(ChatMessage.from_user(text))
        while calls := _reply(generator, messages).tool_calls:
            messages += [
                ChatMessage.from_tool(weather(**call.arguments), origin=call) for call in calls
            ]
        answers.append(messages[-1].text)
    return answers


def _reply(generator: Any, messages: list[ChatMessage]) -> ChatMessage:
    (reply,) = generator.run(messages)["replies"]
    assert isinstance(reply, ChatMessage)
    messages.append(reply)
    return reply


def test_litellm_talks(server: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent)}
    seen = printed_by([sys.executable, "-m", "e2e.litellm_tools", server], env=environment)
    ways = ("chat completions", "responses")
    assert list(seen) == [f"{way}, {how}" for way, how in product(ways, ("plain", "streamed"))]
    for talked in seen.values():
        assert talked == {"answers": ANSWERS, "cities": CITIES}


def test_openai_node_talks(node: Path, server: str) -> None:
    seen = seen_by(node / "openai_tools.mjs", server, json.dumps(TURNS))
    ways = ("chat completions", *WAYS)
    assert list(seen) == [f"{way}, {how}" for way, how in product(ways, ("plain", "streamed"))]
    for way, talked in seen.items():
        executed = [] if way.startswith("chat") else [[*ADDED[:2], json.dumps(ADDED[2]), ADDED[3]]]
        assert talked["answers"] == ANSWERS, way
        assert talked["cities"] == CITIES, way
        assert _with_arguments_read(talked["executed"]) == _with_arguments_read(executed), way


def _with_arguments_read(executed: list[list[str]]) -> list[tuple[Any, ...]]:
    return [(label, name, json.loads(given), output) for label, name, given, output in executed]


def test_vercels_ai_sdk_talks(node: Path, server: str) -> None:
    seen = seen_by(node / "vercel_openai.mjs", server, json.dumps(TURNS))
    ways = ("chat completions", "responses", "stateless")
    assert list(seen) == [f"{way}, {how}" for way, how in product(ways, ("plain", "streamed"))]
    for way, talked in seen.items():
        executed = [] if way.startswith("chat") else ["mcp.add"]
        assert talked == {"answers": ANSWERS, "cities": CITIES, "executed": executed}, way
