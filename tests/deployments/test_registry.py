"""Names lead to deployments, and only to one each."""

import anyio
import anyio.lowlevel
import pytest

from hayserve import BasePipelineWrapper
from hayserve.deployments.deployment import Deployment, FailedDeployment
from hayserve.deployments.registry import Registry
from hayserve.errors import DeployRefused, NotFound, NotReady
from hayserve.wrappers.capabilities import capabilities_of


class Wrapper(BasePipelineWrapper):
    def setup(self) -> None: ...

    def run_api(self) -> str:
        return ""


def deployment(name: str, *aliases: str) -> Deployment:
    wrapper = Wrapper()
    return Deployment(name, wrapper, capabilities_of(wrapper, name=name), aliases=aliases)


def registry_of(*deployments: Deployment) -> Registry:
    registry = Registry()
    for each in deployments:
        registry.put(each)
    return registry


FAILURE = FailedDeployment("bad", DeployRefused("No.", hint="Try."), "command line")


def test_a_name_and_an_alias_lead_to_the_same() -> None:
    one = deployment("one", "uno", "ett")
    registry = registry_of(one)
    assert [registry.get(name) for name in ("one", "uno", "ett")] == [one] * 3
    assert registry.find("zwei") is None
    assert registry.deployments() == [one]


def test_nothing_has_an_unknown_name() -> None:
    registry = registry_of(deployment("one", "uno"))
    with pytest.raises(NotFound) as missing:
        registry.get("two")
    assert missing.value.hint == "Deployed: one, uno."
    with pytest.raises(NotFound, match="nothing yet"):
        Registry().get("two")


def test_what_is_being_loaded_is_not_missing() -> None:
    registry = Registry()
    registry.loading = frozenset({"one"})
    with pytest.raises(NotReady, match="'one' is being loaded"):
        registry.get("one")


def test_what_failed_is_missing_with_the_reason() -> None:
    registry = Registry()
    registry.fail([FAILURE])
    with pytest.raises(NotFound, match=r"it failed to load: No\. Try\."):
        registry.get("bad")
    assert registry.failed() == [FAILURE]
    registry.fail([])
    assert registry.failed() == []


def test_what_is_put_replaces_what_had_its_name() -> None:
    old, new = deployment("it", "old"), deployment("it", "new")
    registry = registry_of(old)
    assert registry.put(new) is old
    assert registry.put(deployment("other")) is None
    assert registry.find("old") is None
    assert registry.find("new") is new


def test_what_is_removed_loses_all_its_names() -> None:
    one, two = deployment("one", "uno"), deployment("two")
    registry = registry_of(one, two)
    assert registry.remove("uno") is None  # not its own name
    assert registry.remove("one") is one
    assert registry.deployments() == [two]


@pytest.mark.anyio
async def test_a_run_waits_while_requests_for_its_name_are_held_back() -> None:
    old, new, other = deployment("it", "gpt"), deployment("it", "gpt"), deployment("other")
    registry = registry_of(old, other)
    registry.hold({"it", "gpt"})
    found: list[Deployment] = []

    async def ask(name: str) -> None:
        found.append(await registry.for_run(name))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask, "it")
        tasks.start_soon(ask, "gpt")
        await ask("other")
        await anyio.lowlevel.checkpoint()
        assert found == [other]
        registry.put(new)
        registry.hold({"gpt"})
        registry.hold(())
    assert [one is new for one in found] == [False, True, True]


def test_deployments_are_listed_in_the_order_that_is_asked_for() -> None:
    one, two, three = deployment("one", "uno"), deployment("two"), deployment("three")
    registry = registry_of(three, two, one)
    registry.arrange(["one", "absent", "uno", "two"])
    assert registry.deployments() == [one, two, three]
    assert registry.get("uno") is one


@pytest.mark.anyio
async def test_nobody_is_held_back_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hayserve.deployments.registry._LONGEST_HOLD_SECONDS", 0.01)
    registry = registry_of(deployment("it"))
    registry.hold({"it"})
    with pytest.raises(NotReady, match="'it' is being changed"):
        await registry.for_run("it")
