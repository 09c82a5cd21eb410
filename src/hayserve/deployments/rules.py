"""Says what may be deployed, before anything is tried."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hayserve.deployments.bundle import (
    check_alias,
    check_name,
    check_size,
    check_wrapper_is_in,
)
from hayserve.deployments.order import Order
from hayserve.errors import InvalidRequest


@dataclass(frozen=True, slots=True)
class Rules:
    """What may be deployed.

    Args:
        reserved: Names that the server itself uses.
        most_bytes: How large the files of one deployment may be together.
        most_files: How many there may be.
    """

    reserved: Collection[str]
    most_bytes: int
    most_files: int

    def check_names(self, names: Sequence[str]) -> None:
        """Refuse names that a deployment cannot have.

        Raises:
            InvalidRequest: One cannot be used.
        """
        own, *aliases = names
        check_name(own, reserved=self.reserved)
        for alias in aliases:
            check_alias(alias, reserved=self.reserved)

    def check(self, order: Order) -> None:
        """Refuse what need not be tried.

        Raises:
            InvalidRequest: A name cannot be used, or its parameters cannot be kept.
            TooLarge: Its files are too large, or too many.
            DeployRefused: It has no `pipeline_wrapper.py`.
        """
        self.check_names(order.names)
        check_parameters(order.parameters)
        if "\0" in order.description:
            raise InvalidRequest("The description has a NUL character.", param="description")
        if order.bundle is not None:
            if order.kind == "folder":
                check_wrapper_is_in(order.bundle)
            check_size(order.bundle, most_bytes=self.most_bytes, most_files=self.most_files)


def check_parameters(parameters: Mapping[str, Any]) -> None:
    """Refuse parameters of `setup()` that cannot be kept.

    Raises:
        InvalidRequest: They are more than JSON can say.
    """
    try:
        json.dumps(dict(parameters), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InvalidRequest(
            f"The parameters of `setup()` cannot be written as JSON: {error}.",
            hint="Give texts, numbers, lists and objects of these; `setup()` makes the rest.",
            param="parameters",
        ) from None
