"""A run: one call of one method of a deployment."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hayserve.deployments.uses import Uses
from hayserve.wrappers.capabilities import Method


@dataclass(frozen=True, slots=True)
class Run:
    """What to call and with what.

    Args:
        id: The id that the caller is given and the log is searched for.
        deployment: The name of the deployment, for messages.
        method: What is called.
        arguments: Its keyword arguments.
        uses: The deployment's, which the run holds until its code has really ended.
    """

    id: str
    deployment: str
    method: Method
    arguments: Mapping[str, Any]
    uses: Uses = field(default_factory=Uses, compare=False)


def new_id() -> str:
    """An id that no other request has: 24 hexadecimal digits."""
    return secrets.token_hex(12)
