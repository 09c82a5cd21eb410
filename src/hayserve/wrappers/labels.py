"""The words that `GET /status` uses for what a wrapper holds."""

from typing import get_args

from haystack import Pipeline
from haystack.components.agents import Agent

from hayserve.errors import DeployRefused
from hayserve.wrappers.base import BasePipelineWrapper, Kind


def kind_of(wrapper: BasePipelineWrapper) -> Kind:
    """What the wrapper says it is, else what its `pipeline` is, else what else it holds.

    Raises:
        DeployRefused: Its `deployment_type` is not one of the known words.
    """
    said = wrapper.deployment_type
    if said is not None:
        if said not in get_args(Kind):
            raise DeployRefused(
                f"`deployment_type` is {said!r}.",
                hint=f"Use one of {', '.join(map(repr, get_args(Kind)))}, or leave it out.",
            )
        return said
    for held in (getattr(wrapper, "pipeline", None), *vars(wrapper).values()):
        if isinstance(held, Agent):
            return "agent"
        if isinstance(held, Pipeline):
            return "pipeline"
    return "unknown"
