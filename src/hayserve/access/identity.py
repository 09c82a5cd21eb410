"""Who asks, and what that one may do."""

from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

from hayserve.access.budget import NO_BUDGET, Budget
from hayserve.access.scopes import ALL, NONE, RUNS, Scopes
from hayserve.errors import HayserveError
from hayserve.wrappers.caller import NOBODY, Caller

# Where it is in a request's `state`.
IDENTITY = "identity"
# What is there if a page of another origin has sent it, which is allowed to call.
FOREIGN = "foreign_page"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who asks.

    Args:
        caller: The same, as wrappers know it.
        owner: Whose things are this one's: what one owner leaves with the server another does not
            find.
        scopes: What is allowed.
        budget: How much of it.
        refusal: Makes the error that this one is refused with wherever anything is asked for;
            None if it is not refused.
    """

    caller: Caller = NOBODY
    owner: str = ""
    scopes: Scopes = NONE
    budget: Budget = NO_BUDGET
    refusal: Callable[[], HayserveError] | None = None

    @property
    def is_known(self) -> bool:
        """Whether the server knows who it is."""
        return self.caller.kind != "nobody"

    @property
    def label(self) -> str:
        """What people are told; empty for nobody."""
        if self.caller.kind == "local":
            return "local key"
        return f"{self.caller.kind} {self.caller.name}" if self.is_known else ""


# Whoever asks a server that keeps nobody out, or one that was put together without a gate.
ANYBODY = Identity(scopes=ALL)
# Whoever shows no key where running needs none, and where it does.
GUEST, STRANGER = Identity(scopes=RUNS), Identity()


def owner_of(scope: MutableMapping[str, Any]) -> str:
    """Whose things are those of whoever has sent the request of an ASGI scope."""
    return identity_in(scope).owner


def identity_in(scope: MutableMapping[str, Any]) -> Identity:
    """Who has sent the request of an ASGI scope."""
    found: Identity = scope.get("state", {}).get(IDENTITY, ANYBODY)
    return found
