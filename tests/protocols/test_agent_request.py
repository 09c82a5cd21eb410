"""What a request asks of an agent: its client's tools, parameters, and to go on."""

from collections.abc import Generator, Mapping
from typing import Any

import pytest

from hayserve.deployments.deployment import Deployment
from hayserve.errors import InvalidRequest
from hayserve.kept.pauses import Pause, Pauses
from hayserve.protocols.agent_request import (
    AgentRequests,
    Output,
    chat_outputs,
    item_outputs,
    tools_in,
)
from hayserve.protocols.call import Call, Reading
from hayserve.storage.database import Database
from hayserve.wrappers.asked import Asked, Resumed
from hayserve.wrappers.base import BasePipelineWrapper
from hayserve.wrappers.capabilities import capabilities_of

KEY = "0123456789abcdef01234567"
RUN = "89abcdef0123456701234567"
CALL = f"call_{KEY}00"


def function(name: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name}}


class Chatty(BasePipelineWrapper):
    def setup(self) -> None: ...

    def run_chat_completion(self, model: str, messages: Any, body: Any) -> str:
        raise NotImplementedError


class Allowing(Chatty):
    generation_parameters = ("temperature", "stop")


class Short(Chatty):
    generation_parameters = ("max_completion_tokens",)


class Closed(Chatty):
    generation_parameters = ()


def deployed(wrapper: BasePipelineWrapper) -> Deployment:
    return Deployment("it", wrapper, capabilities_of(wrapper, name="it"))


@pytest.fixture
def pauses(sqlite_url: str) -> Generator[Pauses]:
    database = Database(sqlite_url)
    database.open()
    yield Pauses(database, keep_seconds=60)
    database.close()


async def ask(
    pauses: Pauses,
    body: Mapping[str, Any],
    *,
    wrapper: BasePipelineWrapper | None = None,
    outputs: list[Output] | None = None,
) -> Asked | None:
    scope: dict[str, Any] = {"type": "http", "state": {"run_id": RUN}, "headers": []}

    async def nothing(*_: Any) -> Any: ...

    call = Call(scope, nothing, nothing, reading=Reading())
    agents = AgentRequests(pauses)
    resumed = await agents.resumed(outputs or [], owner="")
    return agents.asked(call, deployed(wrapper or Chatty()), body=body, resumed=resumed)


@pytest.mark.anyio
async def test_most_requests_ask_nothing(pauses: Pauses) -> None:
    assert await ask(pauses, {"model": "it", "messages": []}) is None


@pytest.mark.anyio
async def test_the_tools_are_handed_over(pauses: Pauses) -> None:
    asked = await ask(pauses, {"tools": [function("f")], "tool_choice": "required"})

    assert asked is not None
    assert (asked.key, asked.tools, asked.tool_choice) == (RUN, [function("f")], "required")


@pytest.mark.anyio
async def test_a_wrapper_sees_to_the_parameters_itself_unless_it_says_so(pauses: Pauses) -> None:
    asked = await ask(pauses, {"temperature": 2})

    assert asked is not None
    assert asked.generation == {}


@pytest.mark.anyio
async def test_the_parameters_that_a_deployment_allows_are_handed_over(pauses: Pauses) -> None:
    body = {"temperature": 0, "stop": None, "model": "it"}

    asked = await ask(pauses, body, wrapper=Allowing())

    assert asked is not None
    assert asked.generation == {"temperature": 0}


@pytest.mark.anyio
async def test_a_parameter_may_have_its_former_name(pauses: Pauses) -> None:
    asked = await ask(pauses, {"max_tokens": 5}, wrapper=Short())

    assert asked is not None
    assert asked.generation == {"max_tokens": 5}


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("wrapper", "hint"),
    [(Allowing(), "They may set: stop, temperature."), (Closed(), "They may set: nothing.")],
)
async def test_other_parameters_are_refused_by_name(
    pauses: Pauses, wrapper: BasePipelineWrapper, hint: str
) -> None:
    with pytest.raises(InvalidRequest, match="'seed' cannot be set") as refused:
        await ask(pauses, {"seed": 1}, wrapper=wrapper)

    assert (refused.value.param, refused.value.hint) == ("seed", hint)


@pytest.mark.anyio
async def test_a_turn_goes_on_with_the_outputs_of_its_calls(pauses: Pauses) -> None:
    pauses.add(KEY, {"calls": [CALL]}, owner="", deployment="it")

    asked = await ask(pauses, {}, outputs=[Output(CALL, "rain")])

    assert asked is not None
    assert asked.resumed == Resumed({"calls": [CALL]}, {CALL: "rain"}, "it")


@pytest.mark.anyio
@pytest.mark.parametrize("call_id", [CALL, "call_made_elsewhere"])
async def test_without_what_was_kept_it_begins_with_the_messages(
    pauses: Pauses, call_id: str
) -> None:
    assert await ask(pauses, {}, outputs=[Output(call_id, "rain")]) is None


@pytest.mark.anyio
async def test_a_turn_of_another_deployments_agent_is_not_continued(pauses: Pauses) -> None:
    pauses.add(KEY, {"calls": [CALL]}, owner="", deployment="other")

    assert await ask(pauses, {}, outputs=[Output(CALL, "rain")]) is None


@pytest.mark.anyio
async def test_a_turn_is_kept_under_its_run(pauses: Pauses) -> None:
    asked = await ask(pauses, {"tools": [function("f")]})

    assert asked is not None
    asked.keep({"calls": []})
    assert pauses.find(RUN, owner="") == Pause("it", {"calls": []})


@pytest.mark.parametrize(
    ("choice", "names", "left"),
    [
        (None, ["f", "g"], "auto"),
        ("auto", ["f", "g"], "auto"),
        ("required", ["f", "g"], "required"),
        ("none", [], "auto"),
        (function("g"), ["g"], function("g")),
        (
            {
                "type": "allowed_tools",
                "allowed_tools": {"mode": "required", "tools": [function("f")]},
            },
            ["f"],
            "required",
        ),
        ({"type": "allowed_tools", "tools": [{"type": "function", "name": "g"}]}, ["g"], "auto"),
    ],
)
def test_the_choice_of_tools_is_kept_to(choice: Any, names: list[str], left: Any) -> None:
    tools, said = tools_in({"tools": [function("f"), function("g")], "tool_choice": choice})

    assert [tool["function"]["name"] for tool in tools] == names
    assert said == left


def test_tools_of_other_kinds_are_the_wrappers_business() -> None:
    assert tools_in({"tools": [{"type": "custom"}], "tool_choice": {"type": "custom"}}) == (
        (),
        "auto",
    )


@pytest.mark.parametrize(
    ("choice", "says"),
    [
        (function("h"), "a call of the function 'h'"),
        ({"type": "allowed_tools", "mode": "required", "tools": []}, "a call of a function"),
        ("never", "'tool_choice' is 'never'"),
        ({"type": "allowed_tools", "allowed_tools": True}, "'tool_choice' is True"),
        ({"type": "allowed_tools", "mode": 1, "tools": []}, "'tool_choice' is {'mode': 1"),
    ],
)
def test_a_choice_that_cannot_be_kept_to_is_refused(choice: Any, says: str) -> None:
    with pytest.raises(InvalidRequest, match=says) as refused:
        tools_in({"tools": [function("f")], "tool_choice": choice})

    assert refused.value.param == "tool_choice"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"tools": "f"}, "tools"),
        ({"tools": ["f"]}, "tools"),
        ({"tools": {"type": "function"}}, "tools"),
        (
            {
                "tools": [function("f")],
                "tool_choice": {"type": "allowed_tools", "allowed_tools": {"tools": True}},
            },
            "tool_choice.tools",
        ),
    ],
)
def test_tools_are_a_list_of_objects(body: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest, match="has to be a list of objects") as refused:
        tools_in(body)

    assert refused.value.param == param


def test_a_tool_that_is_allowed_may_be_described_anyhow() -> None:
    tools = [{"function": ["f"]}, {"name": ["f"]}, {"type": "function", "function": {"name": "f"}}]
    choice = {"type": "allowed_tools", "tools": tools}
    found, _ = tools_in({"tools": [function("f"), function("g")], "tool_choice": choice})
    assert [tool["function"]["name"] for tool in found] == ["f"]


def test_a_call_cannot_be_required_without_tools() -> None:
    with pytest.raises(InvalidRequest, match="a call of a function"):
        tools_in({"tool_choice": "required"})


@pytest.mark.parametrize("described", [{}, {"function": "f"}, {"function": {"name": 1}}])
def test_a_tool_needs_a_name(described: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match="has no name") as refused:
        tools_in({"tools": [function("f"), {"type": "function", **described}]})

    assert refused.value.param == "tools[1]"


def tool(call_id: str | None, content: Any) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": content}


def test_the_outputs_at_the_end_of_a_chat_are_found() -> None:
    messages = [
        tool("old", "1"),
        {"role": "assistant"},
        tool("a", "2"),
        tool("b", [{"type": "text", "text": "3"}, {"type": "text", "text": "4"}]),
        {"role": "user", "content": "and?"},
    ]

    assert chat_outputs(messages) == [Output("a", "2"), Output("b", "3\n4")]
    assert chat_outputs([tool(None, None)]) == [Output("", "null")]
    assert chat_outputs([{"role": "assistant"}]) == []


def test_the_outputs_at_the_end_of_a_responses_input_are_found() -> None:
    def output(call_id: str, value: Any) -> dict[str, Any]:
        return {"type": "function_call_output", "call_id": call_id, "output": value}

    items = [
        output("old", "1"),
        {"type": "function_call", "call_id": "a"},
        output("a", {"x": 1}),
        output("b", [{"type": "input_image"}]),
        {"type": "message", "role": "user", "content": "and?"},
    ]

    assert item_outputs(items) == [
        Output("a", '{"x": 1}'),
        Output("b", '[{"type": "input_image"}]'),
    ]
    assert item_outputs([]) == []
