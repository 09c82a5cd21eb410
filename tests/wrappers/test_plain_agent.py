"""Agents that have no wrapper."""

import json
from typing import Any

import pytest
from haystack.components.agents import Agent
from haystack.components.generators.chat import MockChatGenerator
from haystack.dataclasses import ChatMessage, ToolCall
from haystack.tools.tool import Tool

from hayserve.events import (
    Event,
    ModelFinished,
    RunFinished,
    StreamOpened,
    TextDelta,
    ToolFinished,
    ToolStarted,
)
from hayserve.runs.execute import Executor
from hayserve.runs.run import Run, new_ids
from hayserve.wrappers.capabilities import Capabilities, capabilities_of
from hayserve.wrappers.plain_agent import PlainAgentWrapper


def roles_and_texts(messages: list[ChatMessage]) -> str:
    return " ".join(f"{message.role.value}:{message.text}" for message in messages)


def served(description: str = "", **options: Any) -> Capabilities:
    options.setdefault("chat_generator", MockChatGenerator(response_fn=roles_and_texts))
    wrapper = PlainAgentWrapper(Agent(**options), description=description)
    wrapper.setup()
    return capabilities_of(wrapper, name="it")


def add(n: int) -> str:
    return str(n + 1)


async def answered(able: Capabilities, body: dict[str, Any]) -> Any:
    assert able.api is not None
    assert able.signature is not None
    arguments = able.signature.arguments(json.dumps(body).encode())
    return json.loads(able.signature.encode(await able.api.function(**arguments)))["result"]


async def heard(able: Capabilities, *messages: dict[str, Any]) -> list[Event]:
    assert able.chat is not None
    executor = Executor()
    arguments: dict[str, Any] = {"model": "it", "messages": list(messages), "body": {}}
    async with executor.running():
        return await executor.start(Run(new_ids(1)[0], "it", able.chat, arguments)).all_events()


def said(events: list[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def schema_of(able: Capabilities) -> dict[str, Any]:
    assert able.signature is not None
    return able.signature.request_schema()


@pytest.mark.anyio
async def test_an_agent_takes_messages_and_gives_its_reply() -> None:
    able = served(system_prompt="Be kind.")
    assert able.names() == ["run_api", "chat_completion"]
    assert schema_of(able)["required"] == ["messages"]
    result = await answered(able, {"messages": [{"role": "user", "content": "Hi"}]})
    assert result["reply"] == "system:Be kind. user:Hi"
    assert [message["_role"] for message in result["messages"]] == ["user", "assistant"]
    assert list(result) == ["reply", "messages"]


@pytest.mark.anyio
async def test_one_text_is_what_the_user_says() -> None:
    assert (await answered(served(), {"messages": "Hi"}))["reply"] == "user:Hi"


def test_the_description_is_the_endpoints() -> None:
    able = served("Answers everything.")
    assert able.signature is not None
    assert able.signature.description == "Answers everything."


@pytest.mark.anyio
async def test_variables_of_the_prompt_and_the_state_are_inputs() -> None:
    able = served(
        user_prompt=_user("{{ question }} in {{ language }}"),
        required_variables=["question"],
        state_schema={"notes": {"type": list[str]}},
    )
    assert list(schema_of(able)["properties"]) == ["messages", "question", "language", "notes"]
    assert schema_of(able)["required"] == ["question"]
    result = await answered(able, {"question": "Why?", "notes": ["n"]})
    assert result["reply"] == "user:Why? in"
    assert result["notes"] == ["n"]


@pytest.mark.anyio
async def test_an_agent_streams_with_its_tools_as_a_chat_model() -> None:
    tool = Tool(
        name="add",
        description="Adds.",
        parameters={"type": "object", "properties": {"n": {"type": "integer"}}},
        function=add,
    )
    call = ChatMessage.from_assistant(tool_calls=[ToolCall("add", {"n": 1}, id="c1")])
    able = served(chat_generator=MockChatGenerator([call, "It is 2"]), tools=[tool])
    events = await heard(able, {"role": "user", "content": "1 + 1?"})
    assert [event for event in events if not isinstance(event, ModelFinished)] == [
        StreamOpened(),
        ToolStarted("c1", "add", {"n": 1}),
        ToolFinished("c1", "add", "2"),
        TextDelta("It "),
        TextDelta("is "),
        TextDelta("2"),
        RunFinished(),
    ]


@pytest.mark.anyio
async def test_a_system_message_of_the_client_reaches_the_agent() -> None:
    able = served(system_prompt="Mine.")
    events = await heard(
        able, {"role": "system", "content": "Yours."}, {"role": "user", "content": "Hi"}
    )
    assert said(events) == "system:Mine. system:Yours. user:Hi"


@pytest.mark.anyio
async def test_what_the_user_says_last_fills_the_variable_of_the_prompt() -> None:
    able = served(user_prompt=_user("Q: {{ question }}"))
    events = await heard(
        able,
        {"role": "user", "content": "First"},
        {"role": "assistant", "content": "Yes"},
        {"role": "user", "content": "Second"},
    )
    assert said(events) == "user:First assistant:Yes user:Q: Second"


@pytest.mark.parametrize(
    "prompts",
    [
        {"user_prompt": "{{ question }} in {{ language }}"},
        {"user_prompt": "{{ question }}", "system_prompt": "You know {{ question }}."},
        {"system_prompt": "You speak {{ language }}."},
    ],
)
def test_an_agent_whose_prompt_needs_more_than_a_conversation_is_no_chat_model(
    prompts: dict[str, str],
) -> None:
    assert served(**prompts).names() == ["run_api"]


@pytest.mark.anyio
async def test_a_reply_without_text_is_empty() -> None:
    call = ChatMessage.from_assistant(tool_calls=[ToolCall("add", {}, id="c1")])
    tool = Tool(name="add", description="Adds.", parameters={}, function=lambda: "done")
    able = served(chat_generator=MockChatGenerator([call]), tools=[tool], exit_conditions=["add"])
    assert (await answered(able, {"messages": "Hi"}))["reply"] == ""


def _user(text: str) -> str:
    return '{% message role="user" %}' + text + "{% endmessage %}"
