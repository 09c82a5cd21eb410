"""What cannot be served is refused before it is tried."""

import pytest

from hayserve.deployments.bundle import Bundle
from hayserve.deployments.order import Order
from hayserve.deployments.rules import Rules
from hayserve.errors import DeployRefused, InvalidRequest, TooLarge

RULES = Rules({"status"}, most_bytes=100, most_files=2)


def order(*, name: str = "it", **files: str) -> Order:
    return Order(name, Bundle.of_texts({f"{key}.py": text for key, text in files.items()}))


def test_what_keeps_the_rules_passes() -> None:
    RULES.check(order(pipeline_wrapper="", other=""))
    RULES.check(Order("it", Bundle.of_texts({"pipeline.yml": "a: 1"}), kind="yaml"))
    RULES.check(Order("it", None, kind="thing", aliases=("gpt/4:o",)))
    RULES.check_names(["it", "gpt/4:o"])


@pytest.mark.parametrize("names", [["status"], ["a/b"], ["it", "status"], ["it", ""]])
def test_names_that_cannot_be_used_are_refused(names: list[str]) -> None:
    with pytest.raises(InvalidRequest):
        RULES.check_names(names)
    own, *aliases = names
    with pytest.raises(InvalidRequest):
        RULES.check(Order(own, None, kind="thing", aliases=tuple(aliases)))


def test_files_that_cannot_be_served_are_refused() -> None:
    with pytest.raises(DeployRefused, match=r"no 'pipeline_wrapper\.py'"):
        RULES.check(order(other=""))
    with pytest.raises(TooLarge):
        RULES.check(order(pipeline_wrapper="#" * 101))
    with pytest.raises(TooLarge):
        RULES.check(order(pipeline_wrapper="", a="", b=""))


@pytest.mark.parametrize("value", [object(), float("nan"), {1, 2}, b"bytes"])
def test_parameters_that_json_cannot_say_are_refused(value: object) -> None:
    with pytest.raises(InvalidRequest, match="cannot be written as JSON"):
        RULES.check(Order("it", None, kind="thing", parameters={"a": value}))
