"""Opens spans for wrappers in the tracer that Haystack has, with the tags that Hayhooks sets."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from time import monotonic
from typing import Any

from haystack.tracing.tracer import Span, tracer
from starlette.exceptions import HTTPException


def build_trace_tags(tags: Mapping[str, Any] | None = None, **kwargs: Any) -> dict[str, Any]:
    """Put tags together and leave out those whose value is None.

    Args:
        tags: Tags by name.
        kwargs: More of them, which win over `tags`.
    """
    merged = {**(tags or {}), **kwargs}
    return {name: value for name, value in merged.items() if value is not None}


@contextmanager
def trace_operation(
    operation_name: str, *, tags: Mapping[str, Any] | None = None
) -> Generator[Span]:
    """Trace a piece of work.

    At the end the span has the tags `hayhooks.success` and `hayhooks.elapsed_ms` (milliseconds),
    and after an exception `hayhooks.error.type` and `hayhooks.error.message`, for an
    `HTTPException` also `hayhooks.http.status_code`. Which tracer receives the span is up to
    Haystack's `enable_tracing`; without one nothing is recorded.

    Args:
        operation_name: The span's name.
        tags: The tags that it begins with.

    Example:
        ```python
        from hayserve.compat.tracing import trace_operation

        with trace_operation("weather.look_up", tags={"city": "Berlin"}) as span:
            span.set_tag("source", "cache")
        ```
    """
    started = monotonic()
    with tracer.trace(operation_name, tags=dict(tags or {})) as span:
        try:
            yield span
        except BaseException as error:
            span.set_tags(_failure(error))
            raise
        else:
            span.set_tag("hayhooks.success", value=True)
        finally:
            span.set_tag("hayhooks.elapsed_ms", int((monotonic() - started) * 1000))


def _failure(error: BaseException) -> dict[str, Any]:
    return build_trace_tags(
        {
            "hayhooks.success": False,
            "hayhooks.error.type": type(error).__name__,
            "hayhooks.error.message": str(error),
            "hayhooks.http.status_code": error.status_code
            if isinstance(error, HTTPException)
            else None,
        }
    )
