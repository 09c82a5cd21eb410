"""A run: one call of one method of a deployment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hayserve.access.bill import NO_BILL, Bill
from hayserve.access.identity import ANYBODY, Identity
from hayserve.deployments.uses import Uses
from hayserve.wrappers.asked import Asked
from hayserve.wrappers.capabilities import Method
from hayserve.wrappers.run_limits import NO_LIMITS, RunLimits


@dataclass(slots=True, eq=False)
class Run:
    """What to call and with what.

    Args:
        id: The id that the caller is given and the log is searched for.
        deployment: The name of the deployment, for messages and limits.
        method: What is called.
        arguments: Its keyword arguments.
        uses: The deployment's, which the run holds until its code has really ended.
        limits: The deployment's own; what it leaves open is the executor's.
        number: Which revision of the deployment it is.
        arrived: When the request came, by the event loop's clock; None for now.
        timeout: How long it may take from then on, in seconds, if the request says so; never
            longer than the deployment allows.
        streamed: Whether its caller reads the answer as it comes.
        caller: Who asked for it, for people.
        survives: Whether it goes on when its caller leaves.
        asked: What its caller asks beside the arguments.
        identity: Who asked for it, and what that one may do.
        bill: What becomes of it in the books.
    """

    id: str
    deployment: str
    method: Method
    arguments: Mapping[str, Any]
    uses: Uses = field(default_factory=Uses)
    limits: RunLimits = NO_LIMITS
    number: int | None = None
    arrived: float | None = None
    timeout: float | None = None
    streamed: bool = False
    caller: str = ""
    survives: bool = False
    asked: Asked | None = None
    identity: Identity = ANYBODY
    bill: Bill = NO_BILL


def new_ids(count: int = 64) -> list[str]:
    """Ids that no other request has, of 24 hexadecimal digits: it costs less to make many."""
    random = os.urandom(12 * count)
    return [random[start : start + 12].hex() for start in range(0, len(random), 12)]
