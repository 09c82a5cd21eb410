"""The class that wrappers extend, and the mark for server-sent events."""

from typing import Any

import pytest

from hayserve.wrappers.base import BasePipelineWrapper, SSEStream


class Wrapper(BasePipelineWrapper):
    def setup(self) -> None:
        pass


def test_a_wrapper_has_hayhooks_attributes() -> None:
    wrapper = Wrapper()
    assert wrapper.pipeline is None
    assert (wrapper.skip_mcp, wrapper.skip_a2a) == (False, False)
    assert wrapper.a2a_card is None
    assert wrapper.deployment_type is None


def test_a_wrapper_without_setup_cannot_be_made() -> None:
    with pytest.raises(TypeError, match="setup"):
        BasePipelineWrapper()  # pyright: ignore[reportAbstractUsage] - what is tested


@pytest.mark.parametrize("value", ["text", [1], None, {"a": 1}])
def test_server_sent_events_need_a_generator(value: Any) -> None:
    with pytest.raises(TypeError, match=f"not '{type(value).__name__}'"):
        SSEStream(value)
