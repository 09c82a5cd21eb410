"""A key for one deployment runs and sees that one by all its names, and learns of no other."""

import pytest

from hayserve.access.identity import IDENTITY, Identity
from hayserve.access.scopes import Scopes
from hayserve.deployments.deployment import FailedDeployment
from hayserve.errors import DeployRefused, Forbidden, NotFound
from hayserve.protocols.allowed import (
    Scope,
    deployment_for,
    deployments_for,
    failures_for,
    may_know,
    served_for,
)
from hayserve.wrappers.caller import Caller
from protocols.openai_chat.served import Wrapper, deployed, registered

pytestmark = pytest.mark.anyio


class Runs(Wrapper):
    def run_api(self) -> str:
        return ""


def shown(*scopes: str) -> Scope:
    return {"state": {IDENTITY: Identity(Caller("key", "ann"), scopes=Scopes(scopes))}}


async def test_it_is_run_by_any_of_its_names() -> None:
    it = deployed("it", Runs(), "gpt-4o")
    registry = registered(it, deployed("other", Runs()))
    for scopes in (["run:it"], ["run:gpt-4o"], ["run"]):
        for name in ("it", "gpt-4o"):
            assert await deployment_for(shown(*scopes), registry, name) is it
            assert served_for(shown(*scopes), registry, name) is it


@pytest.mark.parametrize("name", ["other", "none"])
async def test_whether_there_is_another_is_not_told(name: str) -> None:
    registry = registered(deployed("it", Runs()), deployed("other", Runs()))
    with pytest.raises(Forbidden, match=f"may not run '{name}'"):
        await deployment_for(shown("run:it"), registry, name)
    with pytest.raises(Forbidden, match=f"may not run '{name}'"):
        served_for(shown("run:it"), registry, name)


async def test_who_asks_for_what_is_not_there_yet_is_not_told_what_else_is() -> None:
    registry = registered(deployed("other", Runs()))
    with pytest.raises(NotFound) as missing:
        await deployment_for(shown("run:it"), registry, "it")
    with pytest.raises(NotFound) as unseen:
        served_for(shown("run:it"), registry, "it")
    assert missing.value.hint == unseen.value.hint == ""
    with pytest.raises(NotFound) as told:
        served_for(shown("deploy"), registry, "it")
    assert told.value.hint == "Deployed: other."


async def test_what_becomes_of_a_deployment_is_for_those_who_may_run_it() -> None:
    one = shown("run:it")
    assert [may_know(one, "it"), may_know(one, "other")] == [True, False]
    assert may_know(shown("deploy"), "other")


async def test_lists_have_what_may_be_run() -> None:
    registry = registered(deployed("it", Runs()), deployed("other", Runs()))
    failure = DeployRefused("No setup.")
    registry.fail([FailedDeployment(name, failure, "deployed") for name in ("a", "b")])
    one, all_ = shown("run:it", "run:a"), shown("deploy")
    assert [found.name for found in deployments_for(one, registry)] == ["it"]
    assert [found.name for found in deployments_for(all_, registry)] == ["it", "other"]
    assert [found.name for found in failures_for(one, registry)] == ["a"]
    assert [found.name for found in failures_for(all_, registry)] == ["a", "b"]
