"""Refuses a name that no server would take, before anything is done with it."""

import typer

from hayserve.deployments.bundle import check_name
from hayserve.deployments.reserved import RESERVED
from hayserve.errors import InvalidRequest


def check(name: str, *, param_hint: str) -> None:
    """Refuse a name that a deployment cannot have.

    Raises:
        typer.BadParameter: The name is not allowed; the message says why.
    """
    try:
        check_name(name, reserved=RESERVED)
    except InvalidRequest as error:
        raise typer.BadParameter(str(error), param_hint=param_hint) from error
