"""Every test of wrappers begins without a tracer: Haystack has one for the whole process."""

from collections.abc import Generator

import pytest
from haystack.tracing.tracer import NullTracer, tracer


@pytest.fixture(autouse=True)
def no_tracer() -> Generator[None]:
    before = tracer.actual_tracer
    tracer.actual_tracer = NullTracer()
    yield
    tracer.actual_tracer = before
