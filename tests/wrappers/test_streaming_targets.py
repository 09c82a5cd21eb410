"""What streams in an agent or a pipeline, and how its finished answer is found."""

from typing import Any

import pytest
from haystack import Pipeline, SuperComponent, component
from haystack.components.agents import Agent
from haystack.components.generators.chat import FallbackChatGenerator, MockChatGenerator
from haystack.dataclasses import ChatMessage, GeneratedAnswer

from hayserve.testing import ScriptedChatGenerator
from hayserve.wrappers.context import RunContext, current_run
from hayserve.wrappers.streaming_targets import (
    Target,
    answer_of,
    find_all_streaming_components,
    is_streaming_component,
    parse_streaming_components_setting,
    targets_in,
    with_callbacks,
)
from wrappers.streaming_parts import Mute, Shout, SyncOnly, chat, two_models


def own_model() -> Any:
    return MockChatGenerator(["hi"])


def names(targets: list[Target]) -> list[str]:
    return [target.name for target in targets]


@component
class AroundAnAgent:
    def __init__(self) -> None:
        self.agent = Agent(chat_generator=own_model())

    @component.output_types(replies=list[str])
    def run(self, query: str, streaming_callback: Any = None) -> dict[str, Any]:
        raise NotImplementedError


class ToolInvoker(SyncOnly):
    """A component that says by its name that it executes the pipeline's tool calls."""


def around_a_pipeline(part: Any) -> SuperComponent:
    return SuperComponent(
        chat(("llm", part)),
        input_mapping={
            "messages": ["llm.messages"],
            "streaming_callback": ["llm.streaming_callback"],
        },
        output_mapping={},
    )


def test_a_component_streams_if_it_takes_a_callback() -> None:
    assert is_streaming_component(SyncOnly())
    assert is_streaming_component(around_a_pipeline(own_model()))
    assert not is_streaming_component(Shout())
    assert not is_streaming_component(object())


def test_an_agent_streams_if_its_model_does() -> None:
    assert is_streaming_component(Agent(chat_generator=own_model()))
    assert not is_streaming_component(Agent(chat_generator=Mute()))


def test_all_components_that_stream_are_found_in_the_pipelines_order() -> None:
    found = find_all_streaming_components(two_models())
    assert [name for _, name in found] == ["first", "second"]
    assert isinstance(found[0][0], ScriptedChatGenerator)


@pytest.mark.parametrize(
    ("setting", "read"),
    [
        ("", None),
        (" , ", None),
        ("all", "all"),
        (" ALL ", "all"),
        ("a, b,", ["a", "b"]),
        ("all,a", ["all", "a"]),
    ],
)
def test_the_setting_is_read(setting: str, read: Any) -> None:
    assert parse_streaming_components_setting(setting) == read


def test_an_agent_is_its_own_target() -> None:
    agent = Agent(chat_generator=own_model())
    assert targets_in(agent, None) == [Target("agent", agent, owns_tool_calls=True)]
    assert targets_in(Agent(chat_generator=Mute()), None) == []


def test_an_empty_choice_is_no_target() -> None:
    assert targets_in(two_models(), []) == []


def test_names_of_the_setting_that_belong_to_other_pipelines_are_ignored() -> None:
    current_run.set(RunContext("1", streaming_components="first,elsewhere"))
    assert names(targets_in(two_models(), None)) == ["first"]
    current_run.set(RunContext("1", streaming_components="elsewhere"))
    assert names(targets_in(two_models(), None)) == ["second"]
    current_run.set(None)


@pytest.mark.parametrize(
    ("part", "owns"),
    [
        (Agent(chat_generator=own_model()), True),
        (AroundAnAgent(), True),
        (around_a_pipeline(Agent(chat_generator=own_model())), True),
        (around_a_pipeline(own_model()), False),
        (own_model(), False),
    ],
)
def test_agents_own_their_tool_calls_however_deep_they_are(part: Any, owns: bool) -> None:
    [target] = targets_in(chat(("part", part)), None)
    assert target.owns_tool_calls is owns


def test_a_pipeline_that_executes_tools_owns_the_calls_of_its_models() -> None:
    pipeline = chat(("llm", own_model()), ("tools", ToolInvoker()))
    assert [target.owns_tool_calls for target in targets_in(pipeline, "all")] == [True, True]


class Elsewhere(MockChatGenerator):
    """A model that does not come with Haystack."""


@pytest.mark.parametrize(
    ("part", "awaits"),
    [
        (own_model(), True),
        (Agent(chat_generator=own_model()), True),
        (Agent(chat_generator=own_model(), tool_streaming_callback_passthrough=True), False),
        (FallbackChatGenerator([own_model(), own_model()]), True),
        (Agent(chat_generator=FallbackChatGenerator([own_model(), Elsewhere()])), False),
        (Elsewhere(), False),
        (SyncOnly(), False),
    ],
)
def test_only_what_surely_can_gets_an_async_callback(part: Any, awaits: bool) -> None:
    assert Target("x", part, owns_tool_calls=False).awaits_callbacks is awaits


def callback(_: object) -> None:
    raise NotImplementedError


def test_callbacks_join_the_arguments() -> None:
    pipeline = two_models()
    args = {"first_prompt": {"query": "hi"}, "first": {"tools": None}}
    assert with_callbacks(pipeline, args, {}) == args
    assert with_callbacks(pipeline, args, {"first": callback, "second": callback}) == {
        "first_prompt": {"query": "hi"},
        "first": {"tools": None, "streaming_callback": callback},
        "second": {"streaming_callback": callback},
    }
    agent = Agent(chat_generator=own_model())
    assert with_callbacks(agent, {"a": 1}, {}) == {"a": 1}
    assert with_callbacks(agent, {"a": 1}, {"agent": callback}) == {
        "a": 1,
        "streaming_callback": callback,
    }


def test_flat_arguments_go_to_every_component_that_takes_them() -> None:
    pipeline = chat(("a", Shout()), ("b", SyncOnly()))
    assert with_callbacks(pipeline, {"query": "hi"}, {"b": callback}) == {
        "a": {"query": "hi"},
        "b": {"query": "hi", "streaming_callback": callback},
    }


def test_flat_arguments_may_be_dicts() -> None:
    @component
    class Takes:
        @component.output_types(out=str)
        def run(self, settings: dict[str, int], streaming_callback: Any = None) -> dict[str, str]:
            raise NotImplementedError

    args = {"settings": {"a": 1}}
    assert with_callbacks(chat(("takes", Takes())), args, {"takes": callback}) == {
        "takes": {"settings": {"a": 1}, "streaming_callback": callback}
    }


def test_a_flat_argument_that_nothing_takes_is_refused() -> None:
    with pytest.raises(ValueError, match="takes an input named 'x'"):
        with_callbacks(chat(("b", SyncOnly())), {"x": 1}, {"b": callback})


@pytest.mark.parametrize(
    ("result", "answer"),
    [
        ("text", "text"),
        (3, "3"),
        ({"last_message": ChatMessage.from_assistant("hi")}, "hi"),
        ({"messages": [ChatMessage.from_user("a"), ChatMessage.from_assistant("b")]}, "b"),
        ({"llm": {"replies": ["a", "b"]}}, "b"),
        ({"llm": {"replies": [ChatMessage.from_assistant("b")]}}, "b"),
        ({"rag": {"answers": [GeneratedAnswer("yes", "q", [])]}}, "yes"),
        ({"a": {"replies": ["first"]}, "b": {"replies": ["second"]}}, "second"),
        ({"a": {"replies": ["first"]}, "b": {"count": 3}}, "first"),
        ({"writer": {"documents_written": 3}}, "3"),
        ({"count": 3}, "3"),
        ({"a": {"x": 1, "y": 2}}, '{"x": 1, "y": 2}'),
        ({"a": {"replies": []}}, "[]"),
        ({"a": 1, "b": 2}, '{"a": 1, "b": 2}'),
    ],
)
def test_the_answer_is_found_in_what_was_returned(result: object, answer: str) -> None:
    assert answer_of(result) == answer


def test_a_pipeline_without_components_has_no_targets() -> None:
    assert targets_in(Pipeline(), None) == []
