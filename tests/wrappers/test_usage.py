"""How the tokens of a run are counted, its stages told, and its steps ended."""

import asyncio
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any

import pytest
from haystack import Pipeline, SuperComponent, component
from haystack.components.agents import Agent
from haystack.components.generators.chat import FallbackChatGenerator
from haystack.core.errors import PipelineRuntimeError
from haystack.dataclasses import ChatMessage, ToolCall
from haystack.tools.tool import Tool
from haystack.tracing.tracer import Span, Tracer, tracer

from hayserve.events import Usage
from hayserve.testing import ScriptedChatGenerator
from hayserve.wrappers.context import RunContext, RunEnded, current_run
from hayserve.wrappers.streaming import streaming_generator
from hayserve.wrappers.usage import UsageSpan, UsageTracer, count_usage, usages_in
from wrappers.streaming_parts import USER, calculator, chat, two_models


class Recorded(Span):
    def __init__(self, name: str, parent: Span | None) -> None:
        self.name = name
        self.parent = parent
        self.tags: dict[str, Any] = {}

    def set_tag(self, key: str, value: Any) -> None:
        self.tags[key] = value

    def set_content_tag(self, key: str, value: Any) -> None:
        self.tags[key] = value

    def raw_span(self) -> Any:
        return "raw"

    def get_correlation_data_for_logs(self) -> dict[str, Any]:
        return {"trace": 1}


class Recorder(Tracer):
    def __init__(self) -> None:
        self.spans: list[Recorded] = []

    @contextmanager
    def trace(
        self,
        operation_name: str,
        tags: dict[str, Any] | None = None,
        parent_span: Span | None = None,
    ) -> Generator[Span]:
        span = Recorded(operation_name, parent_span)
        span.tags.update(tags or {})
        self.spans.append(span)
        yield span

    def current_span(self) -> Span | None:
        return self.spans[-1]


class Around(Tracer):
    """A tracer that a wrapper puts around the one that it finds."""

    def __init__(self, inner: Tracer) -> None:
        self.inner = inner

    @contextmanager
    def trace(
        self,
        operation_name: str,
        tags: dict[str, Any] | None = None,
        parent_span: Span | None = None,
    ) -> Generator[Span]:
        with self.inner.trace(operation_name, tags, parent_span) as span:
            yield span

    def current_span(self) -> Span | None:
        return self.inner.current_span()


@pytest.fixture
def run() -> Generator[RunContext]:
    count_usage()
    context = RunContext("1")
    token = current_run.set(context)
    yield context
    current_run.reset(token)


def reply(**usage: Any) -> ChatMessage:
    return ChatMessage.from_assistant("x", meta={"usage": usage})


def test_an_agents_model_calls_are_added_up(run: RunContext) -> None:
    calculator().run(messages=USER)
    # "hi" is heard in each of three calls; two, one, and three words or calls are said
    assert run.usage == Usage(input_tokens=3, output_tokens=2 + 1 + 3)


def test_streamed_model_calls_count_too(run: RunContext) -> None:
    list(streaming_generator(calculator(), pipeline_run_args={"messages": USER}))
    assert run.usage == Usage(input_tokens=3, output_tokens=6)


@pytest.mark.anyio
async def test_async_model_calls_count_too() -> None:
    count_usage()
    context = RunContext("1")
    current_run.set(context)
    await calculator().run_async(messages=USER)
    await two_models().run_async({"query": "hi"})
    assert context.usage == Usage(input_tokens=3 + 3, output_tokens=6 + 4)


def test_the_models_of_a_pipeline_count(run: RunContext) -> None:
    two_models().run({"query": "hi"})
    assert run.usage == Usage(input_tokens=1 + 2, output_tokens=2 + 2)


def test_a_component_that_passes_a_reply_on_does_not_count_it_again(run: RunContext) -> None:
    inner = chat(("llm", ScriptedChatGenerator(["one two"])))
    wrapped = SuperComponent(inner, output_mapping={"llm.replies": "replies"})
    chat(("around", wrapped)).run({"messages": USER})
    assert run.usage == Usage(input_tokens=1, output_tokens=2)


def test_a_model_that_others_fall_back_to_counts_once(run: RunContext) -> None:
    model = FallbackChatGenerator(
        [ScriptedChatGenerator([ValueError("no")]), ScriptedChatGenerator(["one two"])]
    )
    chat(("llm", model)).run({"messages": USER})
    assert run.usage == Usage(input_tokens=1, output_tokens=2)


def test_an_agent_in_a_component_counts_once(run: RunContext) -> None:
    @component
    class Replies:
        @component.output_types(replies=list[ChatMessage])
        def run(self, query: str) -> dict[str, Any]:
            agent = Agent(chat_generator=ScriptedChatGenerator(["one two"]))
            return {"replies": [agent.run(messages=USER)["last_message"]]}

    chat(("replies", Replies())).run({"query": "hi"})
    assert run.usage == Usage(input_tokens=1, output_tokens=2)


def test_a_run_without_a_model_used_nothing(run: RunContext) -> None:
    assert run.usage is None


def test_outside_of_a_run_nothing_is_counted() -> None:
    count_usage()
    calculator().run(messages=USER)
    assert current_run.get() is None


@pytest.mark.anyio
async def test_runs_at_the_same_time_do_not_mix() -> None:
    count_usage()

    async def one(words: int) -> Usage | None:
        context = RunContext(str(words))
        current_run.set(context)
        await chat(("llm", ScriptedChatGenerator(["a " * words]))).run_async({"messages": USER})
        return context.usage

    assert await asyncio.gather(*map(one, range(1, 20))) == [Usage(1, n) for n in range(1, 20)]


def test_the_tracer_that_was_there_sees_every_span() -> None:
    recorder = Recorder()
    tracer.actual_tracer = recorder
    count_usage()
    chat(("llm", ScriptedChatGenerator(["a"]))).run({"messages": USER})
    outer, inner = recorder.spans
    assert (outer.name, inner.name) == ("haystack.pipeline.run", "haystack.component.run")
    assert inner.parent is outer
    assert inner.tags["haystack.component.name"] == "llm"
    assert inner.tags["haystack.component.output"]["replies"]
    current = tracer.current_span()
    assert current is inner
    span = UsageSpan(inner)
    assert span.raw_span() == "raw"
    assert span.get_correlation_data_for_logs() == {"trace": 1}
    span.set_tag("a", 1)
    assert inner.tags["a"] == 1


def test_it_is_put_in_place_once() -> None:
    count_usage()
    first = tracer.actual_tracer
    count_usage()
    assert tracer.actual_tracer is first
    assert isinstance(first, UsageTracer)


def test_a_wrappers_tracer_around_it_does_not_count_twice(run: RunContext) -> None:
    tracer.actual_tracer = Around(tracer.actual_tracer)
    count_usage()
    calculator().run(messages=USER)
    assert run.usage == Usage(input_tokens=3, output_tokens=6)


@pytest.mark.parametrize(
    ("output", "usages"),
    [
        (None, []),
        ({}, []),
        ({"replies": "x"}, []),
        ({"replies": ["x"]}, []),
        ({"replies": [ChatMessage.from_assistant("x")]}, []),
        ({"replies": [reply(prompt_tokens=1, completion_tokens=2)]}, [Usage(1, 2)]),
        ({"replies": [reply(input_tokens=1, output_tokens=2)]}, [Usage(1, 2)]),
        ({"replies": [reply(prompt_tokens=None, completion_tokens="2")]}, [Usage(0, 0)]),
        (
            {
                "replies": [
                    reply(
                        prompt_tokens=5,
                        completion_tokens=6,
                        prompt_tokens_details={"cached_tokens": 3},
                        completion_tokens_details={"reasoning_tokens": 4},
                    )
                ]
            },
            [Usage(5, 6, 3, 4)],
        ),
        ({"replies": [reply(prompt_tokens=1)] * 2}, [Usage(1, 0)]),
    ],
)
def test_usage_is_read_out_of_replies(output: object, usages: list[Usage]) -> None:
    assert usages_in(output) == usages


def test_a_pipeline_without_models_runs_as_before() -> None:
    count_usage()
    assert Pipeline().run({}) == {}


# ---- stages, and the end of a run


@component
class Notes:
    """A component that notes the stage in which it is run."""

    def __init__(self, stages: list[str]) -> None:
        self.stages = stages

    @component.output_types(replies=list[str])
    def run(self, query: str) -> dict[str, Any]:
        note(self.stages)
        return {"replies": [query]}


def note(stages: list[str]) -> None:
    run = current_run.get()
    assert run is not None
    stages.append(run.stage)


def test_the_stage_is_the_innermost_of_what_is_under_way(run: RunContext) -> None:
    stages: list[str] = []
    tool = Tool("look", "Looks.", {"type": "object", "properties": {}}, partial(note, stages))
    model = ScriptedChatGenerator([ToolCall("look", {}, id="c1"), "done"])
    agent = Agent(chat_generator=model, tools=[tool])
    chat(("writer", Notes(stages))).run({"query": "a"})
    agent.run(messages=USER)
    assert stages == ["component: writer", "tool: look"]
    assert run.stage == "running"


def test_a_component_that_fails_is_no_stage_any_more(run: RunContext) -> None:
    pipeline = chat(("llm", ScriptedChatGenerator([ValueError("no")])))
    with pytest.raises(PipelineRuntimeError):
        pipeline.run({"messages": USER})
    assert run.stage == "running"


def step(name: str) -> AbstractContextManager[Span]:
    tags = {"haystack.component.name": name}
    return tracer.trace("haystack.component.run", tags=tags)


def test_of_stages_at_the_same_time_one_that_goes_on_is_told(run: RunContext) -> None:
    first, second = step("first"), step("second")
    first.__enter__()
    second.__enter__()
    assert run.stage == "component: second"
    first.__exit__(None, None, None)
    assert run.stage == "component: second"
    second.__exit__(None, None, None)
    assert run.stage == "running"


def test_a_run_that_is_stopped_takes_no_further_step(run: RunContext) -> None:
    model = ScriptedChatGenerator(["a"], loop=True)
    pipeline, agent = chat(("llm", model)), Agent(chat_generator=model)
    fallback = chat(("llm", FallbackChatGenerator([model, model])))
    run.is_stopped = True
    for works in (
        partial(pipeline.run, {"messages": USER}),
        partial(agent.run, messages=USER),
        partial(fallback.run, {"messages": USER}),
    ):
        with pytest.raises(RunEnded):
            works()
    assert model.received == []


def test_a_run_is_stopped_between_the_steps_of_an_agent(run: RunContext) -> None:
    def stop() -> str:
        run.is_stopped = True
        return "ok"

    tool = Tool("stop", "Stops.", {"type": "object", "properties": {}}, stop)
    model = ScriptedChatGenerator([ToolCall("stop", {}, id="c1"), "never said"])
    with pytest.raises(RunEnded):
        Agent(chat_generator=model, tools=[tool]).run(messages=USER)
    assert len(model.received) == 1


def test_outside_of_a_run_there_are_no_stages() -> None:
    count_usage()
    assert chat(("llm", ScriptedChatGenerator(["a"]))).run({"messages": USER})
