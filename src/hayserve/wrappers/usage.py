"""Follows a run by Haystack's spans: counts its tokens, knows its stage, and stops it.

Haystack reports the output of each model call to its tracer, whoever makes the call: an agent, a
pipeline, or a wrapper that only returns a string. The tracer here passes everything on to the
tracer that was there before.
"""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, cast

from haystack.dataclasses import ChatMessage
from haystack.tracing.tracer import Span, Tracer, enable_tracing, tracer

from hayserve.events import Usage
from hayserve.wrappers.context import RunContext, RunEnded, current_run

_MODEL_OUTPUTS = ("haystack.agent.step.llm.output", "haystack.component.output")
_open_span: ContextVar["UsageSpan | None"] = ContextVar("open_span", default=None)


class UsageSpan(Span):
    """A span that reads the usage out of what a model returned.

    A component may only pass on what a model inside it said: what was counted in a span is not
    counted again in those `around` it.
    """

    def __init__(self, inner: Span, around: "UsageSpan | None" = None) -> None:
        self.inner = inner
        self.around = around
        self._counted = False

    def set_tag(self, key: str, value: Any) -> None:
        self.inner.set_tag(key, value)

    def set_content_tag(self, key: str, value: Any) -> None:
        if key in _MODEL_OUTPUTS and not self._counted:
            self._count(usages_in(value))
        self.inner.set_content_tag(key, value)

    def _count(self, usages: list[Usage]) -> None:
        run = current_run.get()
        if run is None or not usages:
            return
        for usage in usages:
            run.add_usage(usage)
        span: UsageSpan | None = self
        while span is not None:
            span._counted = True  # noqa: SLF001 - a span of the same kind
            span = span.around

    def raw_span(self) -> Any:
        return self.inner.raw_span()

    def get_correlation_data_for_logs(self) -> dict[str, Any]:
        return self.inner.get_correlation_data_for_logs()


class UsageTracer(Tracer):
    """Wraps the tracer that was in use, so that both see every span."""

    def __init__(self, inner: Tracer) -> None:
        self._inner = inner

    @contextmanager
    def trace(
        self,
        operation_name: str,
        tags: dict[str, Any] | None = None,
        parent_span: Span | None = None,
    ) -> Generator[Span]:
        run = current_run.get() or RunContext("")
        if run.is_stopped:
            raise RunEnded
        parent = parent_span.inner if isinstance(parent_span, UsageSpan) else parent_span
        outer = _open_span.get()
        with (
            self._inner.trace(operation_name, tags=tags, parent_span=parent) as span,
            run.in_stage(_stage(operation_name, tags or {})),
        ):
            # Read here: a tracer around another one of these opens a span in between.
            mine = UsageSpan(span, around=_open_span.get())
            _open_span.set(mine)
            try:
                yield mine
            finally:
                # Not by a token: a generator may be ended in another context than it began in.
                _open_span.set(outer)

    def current_span(self) -> Span | None:
        return self._inner.current_span()


def _stage(operation: str, tags: Mapping[str, Any]) -> str | None:
    """What a span is about, as people are told; None for what only holds other spans."""
    match operation:
        case "haystack.agent.step.llm":
            return "model"
        case "haystack.agent.step.tool":
            return f"tool: {tags.get('haystack.tool.name')}"
        case "haystack.component.run":
            return f"component: {tags.get('haystack.component.name')}"
        case _:
            return None


def count_usage() -> None:
    """Start to count; called after each load, because a wrapper may have set its own tracer."""
    if not isinstance(tracer.actual_tracer, UsageTracer):
        enable_tracing(UsageTracer(tracer.actual_tracer))


def usages_in(output: object) -> list[Usage]:
    """The usage of each reply in the output of a chat generator; empty for anything else."""
    if not isinstance(output, Mapping):
        return []
    replies: object = cast(Mapping[str, object], output).get("replies")
    if not isinstance(replies, list):
        return []
    metas = [reply.meta for reply in cast(list[object], replies) if isinstance(reply, ChatMessage)]
    said = [_usage(meta["usage"]) for meta in metas if isinstance(meta.get("usage"), Mapping)]
    return list(dict.fromkeys(said))  # several replies to one call each carry the call's usage


def _usage(said: Mapping[str, Any]) -> Usage:
    prompt: Mapping[str, Any] = said.get("prompt_tokens_details") or {}
    completion: Mapping[str, Any] = said.get("completion_tokens_details") or {}
    return Usage(
        input_tokens=_tokens(said, "prompt_tokens") or _tokens(said, "input_tokens"),
        output_tokens=_tokens(said, "completion_tokens") or _tokens(said, "output_tokens"),
        cached_tokens=_tokens(prompt, "cached_tokens"),
        reasoning_tokens=_tokens(completion, "reasoning_tokens"),
    )


def _tokens(said: Mapping[str, Any], key: str) -> int:
    value = said.get(key)
    return value if isinstance(value, int) else 0
