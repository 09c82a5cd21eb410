"""OpenAI's own clients and those built like them, unmodified, against a real server."""

import json
import sys
from pathlib import Path
from typing import Any

import openai
import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_openai import ChatOpenAI
from openai import AsyncOpenAI, OpenAI
from openai.types.chat import ChatCompletionChunk, ChatCompletionMessageParam
from pydantic import SecretStr

from e2e.clients import printed_by, seen_by

HERE = Path(__file__).parent
ANSWER = "Hello from hayserve."
ALL = [
    "agent",
    "citing",
    "client_tool",
    "cut_off",
    "events",
    "failing",
    "generator",
    "plain",
    "reasoning",
    "refusing",
    "structured",
    "tools_agent",
]
MESSAGES: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Hello"}]
# The agent's model is called twice, and each call used 15 tokens.
TOKENS = {"agent": 30, "events": 0, "generator": 0, "plain": 0, "reasoning": 0}

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]
models = pytest.mark.parametrize("model", list(TOKENS))


def check_stream(chunks: list[ChatCompletionChunk]) -> None:
    choices = [chunk.choices[0] for chunk in chunks if chunk.choices]
    assert "".join(choice.delta.content or "" for choice in choices) == ANSWER
    assert [choice.delta.role for choice in choices if choice.delta.role] == ["assistant"]
    assert [c.finish_reason for c in choices if c.finish_reason] == ["stop"]
    assert all(choice.delta.tool_calls is None for choice in choices)


@models
def test_openai_python_reads_a_completion(client: OpenAI, model: str) -> None:
    completion = client.chat.completions.create(model=model, messages=MESSAGES)
    (choice,) = completion.choices
    assert (choice.message.role, choice.message.content) == ("assistant", ANSWER)
    assert choice.message.tool_calls is None
    assert choice.finish_reason == "stop"
    assert completion.usage is not None
    assert completion.usage.total_tokens == TOKENS[model]


@models
def test_openai_python_reads_a_stream(client: OpenAI, model: str) -> None:
    chunks = list(
        client.chat.completions.create(
            model=model, messages=MESSAGES, stream=True, stream_options={"include_usage": True}
        )
    )
    check_stream(chunks)
    assert [chunk.usage.total_tokens for chunk in chunks if chunk.usage] == [TOKENS[model]]
    assert chunks[-1].choices == []


@models
def test_openai_pythons_stream_helper_builds_the_message(client: OpenAI, model: str) -> None:
    with client.chat.completions.stream(model=model, messages=MESSAGES) as stream:
        kinds = [event.type for event in stream]
        (choice,) = stream.get_final_completion().choices
    assert (choice.message.role, choice.message.content) == ("assistant", ANSWER)
    assert choice.message.tool_calls is None
    assert choice.finish_reason == "stop"
    assert kinds.count("content.done") == 1


@pytest.mark.anyio
@models
async def test_openai_python_works_on_an_event_loop(server: str, model: str) -> None:
    async with AsyncOpenAI(base_url=f"{server}/v1", api_key="none", max_retries=0) as client:
        plain = await client.chat.completions.create(model=model, messages=MESSAGES)
        stream = await client.chat.completions.create(model=model, messages=MESSAGES, stream=True)
        chunks = [chunk async for chunk in stream]
    assert plain.choices[0].message.content == ANSWER
    check_stream(chunks)


def test_openai_python_reads_reasoning_and_events_as_extra_fields(client: OpenAI) -> None:
    completion = client.chat.completions.create(model="reasoning", messages=MESSAGES)
    assert completion.choices[0].message.to_dict()["reasoning_content"] == "Somebody says hello."
    chunks = client.chat.completions.create(model="events", messages=MESSAGES, stream=True)
    events: list[Any] = [chunk.to_dict().get("event") for chunk in chunks]
    assert [event["data"]["description"] for event in events if event] == ["Searching", "Found"]


def test_openai_python_executes_tools_that_are_the_clients(client: OpenAI) -> None:
    with client.chat.completions.stream(model="client_tool", messages=MESSAGES) as stream:
        streamed = stream.get_final_completion().choices[0]
    (plain,) = client.chat.completions.create(model="client_tool", messages=MESSAGES).choices
    assert plain.finish_reason == streamed.finish_reason == "tool_calls"
    for message in (plain.message, streamed.message):
        assert message.tool_calls is not None
        (call,) = message.tool_calls
        assert call.type == "function"
        assert (call.id, call.function.name) == ("call_weather", "weather")
        assert json.loads(call.function.arguments) == {"city": "Paris"}
    result: ChatCompletionMessageParam = {
        "role": "tool",
        "tool_call_id": "call_weather",
        "content": "sunny",
    }
    end = client.chat.completions.create(model="client_tool", messages=[*MESSAGES, result])
    assert end.choices[0].message.content == "It is sunny."


def test_openai_python_lists_and_retrieves_models(client: OpenAI) -> None:
    assert sorted(model.id for model in client.models.list()) == ALL
    assert client.models.retrieve("plain").object == "model"
    with pytest.raises(openai.NotFoundError) as missing:
        client.models.retrieve("nobody")
    assert (missing.value.code, missing.value.param) == ("model_not_found", "model")


def test_openai_python_raises_the_error_that_fits(client: OpenAI) -> None:
    create = client.chat.completions.create
    with pytest.raises(openai.NotFoundError, match="No deployment is named 'nobody'"):
        create(model="nobody", messages=MESSAGES)
    with pytest.raises(openai.BadRequestError, match="'messages'"):
        create(model="plain", messages=[])
    with pytest.raises(openai.PermissionDeniedError, match="Not for you"):
        create(model="refusing", messages=MESSAGES, stream=True)
    with pytest.raises(openai.InternalServerError, match="the model is gone"):
        create(model="failing", messages=MESSAGES)


def test_openai_python_raises_what_goes_wrong_in_the_middle(client: OpenAI) -> None:
    seen: list[str] = []
    stream = client.chat.completions.create(model="failing", messages=MESSAGES, stream=True)
    with pytest.raises(openai.APIError, match="the model is gone") as failed:
        seen.extend(chunk.choices[0].delta.content or "" for chunk in stream)
    assert "".join(seen) == "Hello "
    assert failed.value.code == "wrapper_failed"


def langchain(server: str, model: str) -> ChatOpenAI:
    key = SecretStr("none")
    return ChatOpenAI(
        model=model, base_url=f"{server}/v1", api_key=key, max_retries=0, stream_usage=True
    )


@models
def test_langchain_reads_completions_and_streams(server: str, model: str) -> None:
    chat = langchain(server, model)
    plain = chat.invoke("Hello")
    first, *rest = chat.stream("Hello")
    streamed = sum(rest, start=first)
    for message in (plain, streamed):
        assert isinstance(message, AIMessage)
        assert message.text == ANSWER
        assert message.tool_calls == []
        assert message.response_metadata["finish_reason"] == "stop"
        assert message.usage_metadata is not None
        assert message.usage_metadata["total_tokens"] == TOKENS[model]


def test_langchain_executes_tools_that_are_the_clients(server: str) -> None:
    chat = langchain(server, "client_tool")
    first, *rest = chat.stream("Hello")
    asked = sum(rest, start=first)
    assert isinstance(asked, AIMessage)
    (call,) = asked.tool_calls
    assert (call["name"], call["args"]) == ("weather", {"city": "Paris"})
    result = ToolMessage("sunny", tool_call_id=call["id"])
    assert chat.invoke([HumanMessage("Hello"), asked, result]).text == "It is sunny."


def test_langchain_raises_what_goes_wrong(server: str) -> None:
    with pytest.raises(openai.APIError, match="the model is gone"):
        list(langchain(server, "failing").stream("Hello"))
    with pytest.raises(openai.NotFoundError):
        langchain(server, "nobody").invoke("Hello")


def test_litellm_works(server: str) -> None:
    seen = printed_by([sys.executable, str(HERE / "litellm_client.py"), server, *TOKENS])
    for model, tokens in TOKENS.items():
        assert seen[model] == {
            "plain": {"text": ANSWER, "finish": "stop", "tools": None, "tokens": tokens},
            "streamed": {"text": ANSWER, "roles": ["assistant"], "finishes": ["stop"], "tools": []},
        }
    failures = seen["failures"]
    assert failures["unknown"]["name"] == "NotFoundError"
    assert "the model is gone" in failures["failedInTheMiddle"]["message"]


def test_openai_node_works(node: Path, server: str) -> None:
    seen = seen_by(node / "openai_sdk.mjs", server)
    assert (sorted(seen["models"]), seen["retrieved"]) == (ALL, "plain")
    for model, tokens in TOKENS.items():
        assert seen[model] == {
            "plain": {"text": ANSWER, "finish": "stop", "tools": None, "tokens": tokens},
            "streamed": {
                "text": ANSWER,
                "roles": ["assistant"],
                "finishes": ["stop"],
                "tools": [],
                "tokens": tokens,
            },
            "helped": {"text": ANSWER, "role": "assistant", "finish": "stop"},
        }
    assert seen["toolLoop"] == ["It is sunny in Paris."] * 2
    failures = seen["failures"]
    assert {name: (failure["name"], failure["status"]) for name, failure in failures.items()} == {
        "unknownModel": ("NotFoundError", 404),
        "unknown": ("NotFoundError", 404),
        "refused": ("PermissionDeniedError", 403),
        "failed": ("InternalServerError", 500),
        "failedInTheMiddle": ("APIError", None),
        "failedInTheMiddleHelped": ("APIError", None),
    }
    assert "the model is gone" in failures["failedInTheMiddle"]["message"]


def test_vercels_ai_sdk_works(node: Path, server: str) -> None:
    seen = seen_by(node / "vercel_ai.mjs", server)
    for model, tokens in TOKENS.items():
        thought = "Somebody says hello." if model == "reasoning" else ""
        common = {"text": ANSWER, "tools": 0, "tokens": tokens}
        assert seen[model]["plain"] == {**common, "reasoning": thought or None, "finish": "stop"}
        assert seen[model]["streamed"] == {
            **common,
            "reasoning": thought,
            "finishes": ["stop"],
            "errors": [],
        }
    assert seen["toolLoop"] == ["It is sunny in Paris."] * 2
    failures = seen["failures"]
    assert [failures[name]["status"] for name in ("unknown", "refused", "failed")] == [
        404,
        403,
        500,
    ]
    assert failures["failedInTheMiddle"]["finishes"] == ["error"]
    assert "the model is gone" in failures["failedInTheMiddle"]["errors"][0]
