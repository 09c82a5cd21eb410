"""A name that no server would take is refused where it is typed."""

import pytest
import typer

from hayserve.cli.names import check


def test_a_name_that_can_be_served_passes() -> None:
    check("größe-2.1_x", param_hint="NAME")


@pytest.mark.parametrize("name", ["", "my agent", "a/b", ".hidden"])
def test_a_name_that_cannot_be_served_is_a_usage_error(name: str) -> None:
    with pytest.raises(typer.BadParameter, match="name"):
        check(name, param_hint="NAME")
