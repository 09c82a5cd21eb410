"""What is ordered becomes a plan."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from hayserve.deployments.bundle import Bundle
from hayserve.deployments.change import Active
from hayserve.deployments.order import Order
from hayserve.deployments.plan import Plan, alias_plan, deploy_plan, distinct, with_aliases
from hayserve.deployments.revision import NOBODY, Author, Content, Revision
from hayserve.errors import InvalidRequest
from hayserve.wrappers.run_limits import RunLimits

REVISION = Revision("it", 3, Content("folder", "abc"), "deployed", NOBODY, datetime.now(UTC))
ACTIVE = Active("it", REVISION, ("a", "b"), keep=False)
ANN = Author("key", "ann@laptop")


def test_a_deploy_makes_a_new_revision_of_what_is_ordered() -> None:
    bundle = Bundle.of_texts({"pipeline_wrapper.py": ""})
    order = Order("it", bundle, keep=False, author=ANN, origin="pipelines dir", check="Hi?")
    plan = deploy_plan(order, ACTIVE, aliases=["gpt", "it", "gpt"])
    assert plan == Plan(
        "it",
        "deploy",
        ACTIVE,
        content=Content("folder", bundle.digest),
        origin="pipelines dir",
        aliases=("gpt",),
        keep=False,
        author=ANN,
    )
    assert plan.names == ("it", "gpt")


def test_other_names_leave_the_revision_as_it_is() -> None:
    assert alias_plan(ACTIVE, ["c", "it", "c"], author=ANN) == Plan(
        "it", "alias", ACTIVE, number=3, aliases=("c",), keep=False, author=ANN
    )


def test_names_are_added_and_taken_away_in_their_order() -> None:
    assert with_aliases(ACTIVE, add=["c", "it", "a"], remove=["b"]) == ("a", "c")
    assert with_aliases(ACTIVE, add=[], remove=[]) == ("a", "b")
    with pytest.raises(InvalidRequest, match=r"'x' is not an alias of 'it'\. Its aliases: a, b\."):
        with_aliases(ACTIVE, add=["x"], remove=["x"])
    assert distinct("it", ["b", "it", "a", "b"]) == ("b", "a")


def test_an_order_says_what_it_would_be_served_as() -> None:
    bundle = Bundle.of_texts({"a.py": ""})
    order = Order("it", bundle, aliases=("gpt",), parameters={"a": 1}, description="Says.")
    order = replace(order, limits=RunLimits(max_runs=4))
    assert order.names == ("it", "gpt")
    assert Order("it", None).names == ("it",)
    assert order.content == Content(
        "folder",
        bundle.digest,
        parameters={"a": 1},
        limits=RunLimits(max_runs=4),
        description="Says.",
    )
    thing = Order("it", None, kind="thing", place="it", digest="x", skip_mcp=True)
    assert thing.content == Content("thing", "x", place="it", skip_mcp=True)
    assert not thing.content.is_stored
    assert order.of(ANN).author == ANN
    assert order.author == NOBODY
