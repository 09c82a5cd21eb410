"""Spans that wrappers open reach the tracer that Haystack has."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from haystack.tracing.tracer import Span, Tracer, enable_tracing, tracer
from starlette.exceptions import HTTPException

from hayserve.compat.tracing import build_trace_tags, trace_operation


class Recorded(Span):
    def __init__(self, name: str, tags: dict[str, Any] | None) -> None:
        self.name = name
        self.tags = dict(tags or {})

    def set_tag(self, key: str, value: Any) -> None:
        self.tags[key] = value


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
        self.spans.append(Recorded(operation_name, tags))
        yield self.spans[-1]

    def current_span(self) -> Span | None:
        return None


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    before = tracer.actual_tracer
    recorder = Recorder()
    enable_tracing(recorder)
    yield recorder
    enable_tracing(before)


def test_a_span_has_its_tags_and_how_it_went(recorder: Recorder) -> None:
    with trace_operation("look_up", tags={"city": "Rome"}) as span:
        span.set_tag("source", "cache")

    [recorded] = recorder.spans
    assert recorded.name == "look_up"
    assert isinstance(recorded.tags.pop("hayhooks.elapsed_ms"), int)
    assert recorded.tags == {"city": "Rome", "source": "cache", "hayhooks.success": True}


def test_a_span_says_what_was_raised(recorder: Recorder) -> None:
    with pytest.raises(KeyError), trace_operation("look_up"):
        raise KeyError("Rome")

    [recorded] = recorder.spans
    assert isinstance(recorded.tags.pop("hayhooks.elapsed_ms"), int)
    assert recorded.tags == {
        "hayhooks.success": False,
        "hayhooks.error.type": "KeyError",
        "hayhooks.error.message": "'Rome'",
    }


def test_a_span_has_the_status_of_an_http_exception(recorder: Recorder) -> None:
    with pytest.raises(HTTPException), trace_operation("look_up"):
        raise HTTPException(404)

    assert recorder.spans[0].tags["hayhooks.http.status_code"] == 404


def test_tags_are_put_together_without_those_that_are_none() -> None:
    assert build_trace_tags({"a": 1, "b": None, "c": 2}, c=3, d=None) == {"a": 1, "c": 3}


def test_tags_may_come_from_keywords_alone() -> None:
    assert build_trace_tags(a=1) == {"a": 1}
