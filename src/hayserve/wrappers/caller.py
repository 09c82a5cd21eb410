"""Who asks for a run, as the code that answers may know it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

CallerKind: TypeAlias = Literal["nobody", "local", "key", "token"]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, as the server has verified it; nothing here is taken from what a client only says.

    Args:
        kind: "key" for one of the server's keys, "token" for a token of an identity provider,
            "local" for the command line on the server's own machine, "nobody" for whoever shows
            nothing that the server knows.
        name: The name of the key, or the subject of the token; empty for nobody.
        claims: What the token says beside that, as far as `HAYSERVE_OIDC_CLAIMS` names it.
    """

    kind: CallerKind = "nobody"
    name: str = ""
    claims: Mapping[str, Any] = field(default_factory=dict[str, Any], hash=False)


NOBODY = Caller()
