"""Methods that are made for one wrapper."""

import gc
import weakref
from collections.abc import Callable
from inspect import Signature
from typing import Any

from hayserve.wrappers.base import BasePipelineWrapper
from hayserve.wrappers.methods import described, give


class Empty(BasePipelineWrapper):
    def setup(self) -> None: ...


def answer() -> Callable[..., str]:
    def run_api() -> str:
        return "yes"

    return run_api


def test_a_method_is_one_wrappers_alone() -> None:
    one, other = Empty(), Empty()
    give(one, {"run_api": answer()})
    assert one.run_api() == "yes"
    assert "run_api" not in vars(other)


def test_whoever_holds_the_method_holds_the_wrapper() -> None:
    wrapper = Empty()
    give(wrapper, {"run_api": answer()})
    method: Any = wrapper.run_api
    seen = weakref.ref(wrapper)
    del wrapper
    gc.collect()
    assert seen() is not None
    del method
    gc.collect()
    assert seen() is None


def test_a_description_lists_the_inputs_if_there_are_some() -> None:
    assert described(answer(), Signature(), description="Say.", inputs={}).__doc__ == "Say."
    assert described(answer(), Signature(), description="Say.", inputs={"a": "What."}).__doc__ == (
        "Say.\n\nArgs:\n    a: What."
    )
