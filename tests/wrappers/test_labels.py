"""The words for what a wrapper holds."""

from typing import Any

import pytest
from haystack import Pipeline
from haystack.components.agents import Agent

from hayserve.errors import DeployRefused
from hayserve.testing import ScriptedChatGenerator
from hayserve.wrappers.base import BasePipelineWrapper
from hayserve.wrappers.labels import kind_of


class Wrapper(BasePipelineWrapper):
    def __init__(self, said: Any = None, **held: object) -> None:
        super().__init__()
        vars(self).update(held)
        vars(self)["deployment_type"] = said

    def setup(self) -> None:
        raise NotImplementedError


def agent() -> Agent:
    return Agent(chat_generator=ScriptedChatGenerator([]))


@pytest.mark.parametrize(
    ("wrapper", "kind"),
    [
        (Wrapper(), "unknown"),
        (Wrapper(pipeline=Pipeline()), "pipeline"),
        (Wrapper(pipeline=agent()), "agent"),
        (Wrapper(agent=agent()), "agent"),
        (Wrapper(pipeline=Pipeline(), agent=agent()), "pipeline"),
        (Wrapper("unknown", pipeline=Pipeline()), "unknown"),
        (Wrapper("agent"), "agent"),
    ],
)
def test_a_wrapper_is_called_by_what_it_says_or_holds(wrapper: Wrapper, kind: str) -> None:
    assert kind_of(wrapper) == kind


def test_another_word_is_refused() -> None:
    with pytest.raises(DeployRefused, match="`deployment_type` is 'robot'") as caught:
        kind_of(Wrapper("robot"))
    assert caught.value.hint == "Use one of 'agent', 'pipeline', 'unknown', or leave it out."
