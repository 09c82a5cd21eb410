"""Gives a wrapper the methods that were made for what it serves."""

from collections.abc import Callable, Mapping
from inspect import Signature
from typing import Any, cast

from hayserve.wrappers.base import BasePipelineWrapper


def give(wrapper: BasePipelineWrapper, methods: Mapping[str, Callable[..., Any]]) -> None:
    """Make functions methods of `wrapper` alone, as if its class had defined them."""
    for name, function in methods.items():
        # A run holds only its method, and the wrapper's code must stay loaded until it has ended.
        cast(Any, function).wrapper = wrapper
        vars(wrapper)[name] = function


def described(
    function: Callable[..., Any],
    signature: Signature,
    *,
    description: str,
    inputs: Mapping[str, str],
) -> Callable[..., Any]:
    """Give `function` the signature and a docstring that describes its inputs."""
    lines = [f"    {name}: {text}" for name, text in inputs.items()]
    function.__doc__ = "\n".join([description, "", "Args:", *lines] if lines else [description])
    cast(Any, function).__signature__ = signature
    return function
