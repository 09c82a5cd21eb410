"""Says what may be deployed, before anything is tried."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from hayserve.deployments.bundle import (
    check_alias,
    check_name,
    check_size,
    check_wrapper_is_in,
)
from hayserve.deployments.order import Order


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
            InvalidRequest: A name cannot be used, or it is too large.
            DeployRefused: It has no `pipeline_wrapper.py`.
        """
        self.check_names(order.names)
        if order.bundle is not None:
            if order.kind == "folder":
                check_wrapper_is_in(order.bundle)
            check_size(order.bundle, most_bytes=self.most_bytes, most_files=self.most_files)
