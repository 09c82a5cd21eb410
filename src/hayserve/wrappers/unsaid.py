"""Finds in what a run returned what none of its chunks said, because a model did not stream it."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, cast

from haystack import Pipeline
from haystack.components.agents import Agent
from haystack.dataclasses import ChatMessage, StreamingChunk

from hayserve.wrappers.citations import citations_in
from hayserve.wrappers.pipeline_run import Plan
from hayserve.wrappers.streaming_targets import (
    Target,
    answer_of,
    executes_calls_of,
    last_reply_in,
)
from hayserve.wrappers.tool_calls import owned_by_agent, whole_calls


def unsaid(plan: Plan, result: object, *, answered: bool) -> list[StreamingChunk]:
    """What agents executed, the answer, what a pipeline has its client execute, and what it cites.

    Args:
        plan: What has run.
        result: What it returned.
        answered: Whether the text of the answer was streamed.
    """
    before = plan.turn.executed_before if plan.turn is not None else 0
    executed = [] if plan.targets else executed_in(plan.pipeline, result, before=before)
    if plan.turn is not None and plan.turn.is_for_the_client:
        return executed
    calls = calls_in(plan.pipeline, result, targets=plan.targets)
    text = "" if answered else answer_of(result)
    # Where nothing is said at all, the stream still has its one item.
    said = [] if answered or (calls and not text) else [StreamingChunk(content=text)]
    return [*executed, *said, *calls, *citations_in(result)]


def calls_in(
    pipeline: Pipeline | Agent, result: object, *, targets: Sequence[Target] = ()
) -> list[StreamingChunk]:
    """The calls of a pipeline's answer as one chunk, if the client has to execute them.

    Args:
        pipeline: What has run.
        result: What it returned.
        targets: What may have streamed its calls already.
    """
    if isinstance(pipeline, Agent):
        return []
    name, reply = last_reply_in(result)
    if reply is None or not reply.tool_calls:
        return []
    if executes_calls_of(pipeline, pipeline.get_component(name)):
        return []
    streamed = {tool for target in targets if target.name == name for tool in target.called}
    calls = [call for call in reply.tool_calls if call.tool_name not in streamed]
    return [whole_calls(calls)] if calls else []


def executed_in(
    pipeline: Pipeline | Agent, result: object, *, before: int = 0
) -> list[StreamingChunk]:
    """The results of the tools that agents executed in a run in which nothing streamed.

    Args:
        pipeline: What has run.
        result: What it returned.
        before: How many of them an agent's earlier turns have told.
    """
    if isinstance(pipeline, Agent):
        return _results_of("agent", result, before=before)
    outputs = cast(Mapping[str, object], result)
    return [chunk for name, output in outputs.items() for chunk in _results_of(name, output)]


def _results_of(name: str, output: object, *, before: int = 0) -> list[StreamingChunk]:
    """What the agent called `name` executed; its messages may begin with an older conversation."""
    if not (isinstance(output, Mapping) and {"messages", "tool_call_counts"} <= output.keys()):
        return []
    known = cast(Mapping[str, Any], output)
    executed = max(0, sum(known["tool_call_counts"].values()) - before)
    messages: Iterable[ChatMessage] = reversed(known["messages"])
    results = (message.tool_call_result for message in messages if message.tool_call_result)
    return [
        owned_by_agent(StreamingChunk(content="", index=index, tool_call_result=found), name)
        for index, found in enumerate([*islice(results, executed)][::-1])
    ]
