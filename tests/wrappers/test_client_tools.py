"""An agent calls the tools of its client: the turn ends there, and goes on with what they gave."""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest
from haystack.components.agents import Agent
from haystack.components.agents.state import State
from haystack.dataclasses import ChatMessage, StreamingChunk, ToolCall
from haystack.tools import Toolset
from haystack.tools.errors import ToolInvocationError
from haystack.tools.tool import Tool

from hayserve.errors import InvalidRequest
from hayserve.testing import Reply, ScriptedChatGenerator
from hayserve.wrappers.asked import Asked, Resumed
from hayserve.wrappers.client_tools import client_tool
from hayserve.wrappers.context import RunContext, current_run
from wrappers.streaming_parts import (
    ADD,
    USER,
    Mute,
    read_driven,
    read_driven_on_loop,
    read_in_thread,
    read_on_loop,
    say,
)

pytestmark = pytest.mark.anyio

Read = Callable[..., Awaitable[list[Any]]]
KEY = "0123456789abcdef01234567"
WEATHER: Mapping[str, Any] = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Says what the weather is.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
IN_ROME = ToolCall("weather", {"city": "Rome"}, id="m1")
IN_OSLO = ToolCall("weather", {"city": "Oslo"}, id="m2")
SUM = ToolCall("add", {"a": 1, "b": 2}, id="m3")


@pytest.fixture(params=[read_in_thread, read_on_loop, read_driven, read_driven_on_loop])
def read(request: pytest.FixtureRequest) -> Read:
    return request.param


class Asking:
    """What is asked, and what is kept of it."""

    def __init__(self) -> None:
        self.saved: Mapping[str, Any] = {}

    def run(self, *, outputs: Mapping[str, str] | None = None, **options: Any) -> RunContext:
        resumed = None if outputs is None else Resumed(json.loads(json.dumps(self.saved)), outputs)
        tools = options.pop("tools", (WEATHER,))
        return RunContext(KEY, asked=Asked(KEY, tools, resumed=resumed, keep=self._keep, **options))

    def _keep(self, saved: Mapping[str, Any]) -> None:
        self.saved = saved


@pytest.fixture
def asking() -> Asking:
    return Asking()


def calls_in(items: list[Any]) -> list[tuple[str | None, str | None, Any]]:
    """The calls for the client in a stream."""
    deltas = [
        delta
        for item in items
        if isinstance(item, StreamingChunk) and not item.meta.get("hayserve.executed_by")
        for delta in item.tool_calls or ()
    ]
    return [(delta.id, delta.tool_name, json.loads(delta.arguments or "")) for delta in deltas]


async def ask(read: Read, run: RunContext, agent: Agent, **args: Any) -> list[Any]:
    token = current_run.set(run)
    try:
        return await read(agent, pipeline_run_args={"messages": USER, **args})
    finally:
        current_run.reset(token)


async def test_a_call_of_the_clients_tool_ends_the_turn(read: Read, asking: Asking) -> None:
    model = ScriptedChatGenerator([Reply("Let me see. ", tool_calls=(IN_ROME,))])

    items = await ask(read, asking.run(), Agent(chat_generator=model))

    assert say(items) == "Let me see. "
    assert calls_in(items) == [(f"call_{KEY}00", "weather", {"city": "Rome"})]
    assert [item.finish_reason for item in items if item.finish_reason][-1] == "tool_calls"
    assert len(model.received) == 1
    assert asking.saved["calls"] == [f"call_{KEY}00"]


async def test_its_output_continues_the_turn(read: Read, asking: Asking) -> None:
    model = ScriptedChatGenerator([IN_ROME, "It rains."])
    agent = Agent(chat_generator=model, system_prompt="Be brief.")
    await ask(read, asking.run(), agent)

    items = await ask(read, asking.run(outputs={f"call_{KEY}00": "rain"}), agent)

    assert say(items) == "It rains."
    assert calls_in(items) == []
    system, user, call, result = model.received[-1]
    assert (system.text, user.text) == ("Be brief.", "hi")
    assert call.tool_calls[0].arguments == {"city": "Rome"}
    assert result.tool_call_result is not None
    assert (result.tool_call_result.result, result.tool_call_result.origin.tool_name) == (
        "rain",
        "weather",
    )


async def test_what_the_user_adds_comes_after_the_outputs(read: Read, asking: Asking) -> None:
    model = ScriptedChatGenerator([IN_ROME, "It rains."])
    agent = Agent(chat_generator=model)
    await ask(read, asking.run(), agent)
    sent = [
        *USER,
        ChatMessage.from_assistant(tool_calls=[IN_ROME]),
        ChatMessage.from_tool("rain", origin=IN_ROME),
        ChatMessage.from_user("In Latin, please."),
    ]

    await ask(read, asking.run(outputs={f"call_{KEY}00": "rain"}), agent, messages=sent)

    assert [message.text for message in model.received[-1]][-1] == "In Latin, please."
    assert len(model.received[-1]) == 4


async def test_the_agents_own_tools_run_in_the_same_step(read: Read, asking: Asking) -> None:
    model = ScriptedChatGenerator([[SUM, IN_ROME, IN_OSLO], "Done."])
    agent = Agent(chat_generator=model, tools=[ADD])

    items = await ask(read, asking.run(), agent)
    again = asking.run(outputs={f"call_{KEY}01": "rain", f"call_{KEY}02": "snow"})
    await ask(read, again, agent)

    assert [name for _, name, _ in calls_in(items)] == ["weather", "weather"]
    results = [item.tool_call_result for item in items if getattr(item, "tool_call_result", None)]
    assert [(result.origin.tool_name, result.result) for result in results] == [("add", "3")]
    told = [one.tool_call_result for one in model.received[-1] if one.tool_call_result]
    assert [result.result for result in told] == ["3", "rain", "snow"]
    assert [len(one.tool_calls) for one in model.received[-1]] == [0, 3, 0, 0, 0]


def noted(text: str) -> dict[str, str]:
    return {"text": text}


async def test_the_state_of_the_agent_goes_on(read: Read, asking: Asking) -> None:
    note = Tool(
        name="note",
        description="Notes.",
        parameters={"type": "object", "properties": {"text": {"type": "string"}}},
        function=noted,
        outputs_to_state={"noted": {"source": "text"}},
    )
    script = [[ToolCall("note", {"text": "hay"}, id="n"), IN_ROME], "Done."]
    agent = Agent(
        chat_generator=ScriptedChatGenerator(script),
        tools=[note],
        state_schema={"noted": {"type": str}},
    )
    ended: list[Mapping[str, Any]] = []
    token = current_run.set(asking.run())
    await read(agent, pipeline_run_args={"messages": USER})
    current_run.set(asking.run(outputs={f"call_{KEY}01": "rain"}))
    await read(agent, pipeline_run_args={"messages": USER}, on_pipeline_end=ended.append)
    current_run.reset(token)

    assert ended[0]["noted"] == "hay"
    assert ended[0]["step_count"] == 2
    assert ended[0]["tool_call_counts"]["note"] == 1
    assert ended[0]["exit_reason"] == "text"


async def test_the_agent_may_use_its_own_tools_first(read: Read, asking: Asking) -> None:
    model = ScriptedChatGenerator([SUM, IN_ROME, "It rains."])
    agent = Agent(chat_generator=model, tools=[ADD])

    items = await ask(read, asking.run(), agent)
    again = await ask(read, asking.run(outputs={f"call_{KEY}00": "rain"}), agent)

    assert [name for _, name, _ in calls_in(items)] == ["weather"]
    assert say(again) == "It rains."
    told = [one.tool_call_result for one in model.received[-1] if one.tool_call_result]
    assert [result.result for result in told] == ["3", "rain"]


async def test_the_hooks_of_the_agent_have_their_say_first(read: Read, asking: Asking) -> None:
    seen: list[int] = []

    class Looks:
        def run(self, state: State) -> None:
            seen.append(len(state.data["messages"][-1].tool_calls))

        def to_dict(self) -> dict[str, Any]:
            raise NotImplementedError

        @classmethod
        def from_dict(cls, data: dict[str, Any]) -> "Looks":
            raise NotImplementedError

    agent = Agent(
        chat_generator=ScriptedChatGenerator([[SUM, IN_ROME]]),
        tools=[ADD],
        hooks={"before_tool": [Looks()]},
    )

    await ask(read, asking.run(), agent)

    assert seen == [2]
    assert {point: len(hooks) for point, hooks in agent.hooks.items()} == {"before_tool": 1}


async def test_a_model_that_cannot_stream_calls_too(asking: Asking) -> None:
    agent = Agent(chat_generator=Mute())
    described = {**WEATHER, "function": {**WEATHER["function"], "name": "add"}}

    items = await ask(read_on_loop, asking.run(tools=(described,)), agent)

    assert calls_in(items) == [(f"call_{KEY}00", "add", {"a": 1, "b": 1})]


async def test_an_answer_without_a_call_is_an_answer(read: Read, asking: Asking) -> None:
    items = await ask(read, asking.run(), Agent(chat_generator=ScriptedChatGenerator(["Hello."])))

    assert say(items) == "Hello."
    assert asking.saved == {}


async def test_what_has_to_be_called_is_all_that_there_is(asking: Asking) -> None:
    given: list[Any] = []
    model = ScriptedChatGenerator([IN_ROME])
    run = model.run_async

    async def noting(*args: Any, **kwargs: Any) -> Any:
        given.append(kwargs)
        return await run(*args, **kwargs)

    model.run_async = noting
    agent = Agent(chat_generator=model, tools=[ADD])

    await ask(read_on_loop, asking.run(tool_choice="required"), agent)

    assert [tool.name for tool in given[0]["tools"]] == ["weather"]
    assert given[0]["generation_kwargs"] == {"tool_choice": "required"}


@pytest.mark.parametrize(
    ("own", "chosen", "names"),
    [
        ([ADD], None, ["add", "weather"]),
        ([ADD], ["add"], ["add", "weather"]),
        ([ADD], [], ["weather"]),
        (Toolset([ADD]), None, ["add", "weather"]),
        ([], Toolset([ADD]), ["add", "weather"]),
    ],
)
async def test_the_clients_tools_come_beside_the_agents(
    asking: Asking, *, own: Any, chosen: Any, names: list[str]
) -> None:
    seen: list[str] = []

    class Looks:
        def run(self, state: State) -> None:
            seen.extend(tool.name for tool in state.data["tools"])

        def to_dict(self) -> dict[str, Any]:
            raise NotImplementedError

        @classmethod
        def from_dict(cls, data: dict[str, Any]) -> "Looks":
            raise NotImplementedError

    agent = Agent(
        chat_generator=ScriptedChatGenerator(["Hi."]), tools=own, hooks={"before_llm": [Looks()]}
    )
    args = {} if chosen is None else {"tools": chosen}

    await ask(read_on_loop, asking.run(), agent, **args)

    assert seen == names


async def test_a_tool_of_the_name_of_the_agents_own_is_refused(read: Read, asking: Asking) -> None:
    described = {**WEATHER, "function": {**WEATHER["function"], "name": "add"}}
    agent = Agent(chat_generator=ScriptedChatGenerator(["Hi."]), tools=[ADD])

    with pytest.raises(InvalidRequest, match="'add' itself"):
        await ask(read, asking.run(tools=(described,)), agent)


async def test_a_tool_whose_parameters_are_no_schema_is_refused(asking: Asking) -> None:
    described = {"type": "function", "function": {"name": "x", "parameters": {"type": "nothing"}}}

    with pytest.raises(InvalidRequest, match="'x' cannot be used"):
        await ask(
            read_on_loop,
            asking.run(tools=(described,)),
            Agent(chat_generator=ScriptedChatGenerator(["Hi."])),
        )


async def test_the_outputs_of_all_calls_are_needed(read: Read, asking: Asking) -> None:
    agent = Agent(chat_generator=ScriptedChatGenerator([[IN_ROME, IN_OSLO], "Done."]))
    await ask(read, asking.run(), agent)

    with pytest.raises(InvalidRequest, match=f"no output of the call 'call_{KEY}01'"):
        await ask(read, asking.run(outputs={f"call_{KEY}00": "rain"}), agent)


async def test_nobody_but_the_client_executes_its_tools() -> None:
    with pytest.raises(ToolInvocationError, match="The client executes this"):
        client_tool(WEATHER).invoke(city="Rome")
