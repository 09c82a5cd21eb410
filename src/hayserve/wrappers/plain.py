"""Makes a wrapper of an agent, a pipeline, or whatever gives one of them."""

import inspect
from collections.abc import Callable
from typing import Any, cast

from haystack import Pipeline
from haystack.components.agents import Agent

from hayserve.errors import DeployRefused, sentence
from hayserve.wrappers.base import BasePipelineWrapper
from hayserve.wrappers.failure import explain
from hayserve.wrappers.plain_agent import PlainAgentWrapper
from hayserve.wrappers.plain_pipeline import PlainPipelineWrapper

_ACCEPTED = (
    "Accepted are a Haystack Agent or Pipeline, a BasePipelineWrapper (the class or an instance), "
    "and a function without arguments that returns one of these."
)
_SETUP = """It is called at deploy, in every process that serves. Write into the class:
    def setup(self) -> None:
        self.pipeline = Pipeline()  # or whatever the other methods need"""


def wrapper_for(thing: object, *, description: str = "") -> BasePipelineWrapper:
    """Make a wrapper that serves `thing`; its `setup()` is still to be called.

    Args:
        thing: An `Agent`, a `Pipeline`, a `BasePipelineWrapper` or a subclass of it, or a function
            without arguments that returns one of these.
        description: What it does, for people and models; a wrapper has its own.

    Raises:
        DeployRefused: `thing` is something else, or making it failed.

    Example:
        ```python
        from haystack import Pipeline
        from haystack.components.generators.chat import MockChatGenerator

        from hayserve.wrappers.plain import wrapper_for

        pipeline = Pipeline().add_component("llm", MockChatGenerator())
        wrapper = wrapper_for(pipeline, description="Echoes what you say.")
        print(type(wrapper).__name__)
        #> PlainPipelineWrapper
        ```
    """
    wrapper = _wrapper_of(thing, description=description)
    if wrapper is not None:
        return wrapper
    if not callable(thing):
        raise DeployRefused(
            f"An object of the type {type(thing).__name__!r} cannot be served.", hint=_ACCEPTED
        )
    made = _called(thing)
    wrapper = _wrapper_of(made, description=description)
    if wrapper is None:
        raise DeployRefused(
            f"{_name_of(thing)!r} gave an object of the type {type(made).__name__!r}, which "
            "cannot be served.",
            hint=_ACCEPTED,
        )
    return wrapper


def _wrapper_of(thing: object, *, description: str) -> BasePipelineWrapper | None:
    if isinstance(thing, BasePipelineWrapper):
        return thing
    if isinstance(thing, Agent):
        return PlainAgentWrapper(thing, description=description)
    if isinstance(thing, Pipeline):
        return PlainPipelineWrapper(thing, description=description)
    return None


def _called(factory: Callable[..., Any]) -> object:
    name = _name_of(factory)
    if "setup" in getattr(factory, "__abstractmethods__", ()):
        raise DeployRefused(f"{name!r} defines no `setup()`.", hint=_SETUP)
    if inspect.iscoroutinefunction(factory):
        raise DeployRefused(
            f"{name!r} is an async function.", hint=f"Make it a plain function. {_ACCEPTED}"
        )
    try:
        inspect.signature(factory).bind()
    except (TypeError, ValueError) as error:
        raise DeployRefused(
            f"{name!r} cannot be called without arguments.", hint=_ACCEPTED
        ) from error
    try:
        return cast(object, factory())
    except Exception as error:  # user code: anything can come out of it
        raise DeployRefused(
            sentence(f"{name!r} failed: {explain(error)}"),
            hint="It is called at deploy, in every process that serves.",
        ) from error


def _name_of(thing: object) -> str:
    return getattr(thing, "__name__", type(thing).__name__)
