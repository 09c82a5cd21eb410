"""Who may call which route: the one place that says so."""

from collections.abc import MutableMapping
from enum import Enum
from typing import Any

from hayserve.access.identity import FOREIGN, Identity, identity_in
from hayserve.errors import Forbidden, HayserveError, Unauthorized

HOW = (
    "Send it as `Authorization: Bearer KEY` or `X-API-Key: KEY`; "
    "`hayserve keys create NAME --scope {scope}` makes one."
)


class Rule(Enum):
    """What a route asks of whoever calls it."""

    OPEN = "nothing"
    SEE = "any scope"
    RUN = "a scope that allows to run something"
    RUNS = "the same, of a caller that is known"
    DEPLOY = "the scope `deploy`"
    ADMIN = "the scope `admin`"


_NOT_FOR_PAGES = (Rule.DEPLOY, Rule.ADMIN)
_WANTED = {Rule.SEE: "run", Rule.RUN: "run", Rule.RUNS: "run", Rule.DEPLOY: "deploy"}


def check(scope: MutableMapping[str, Any], rule: Rule) -> None:
    """Let the request of an ASGI scope pass if whoever has sent it may.

    Raises:
        Unauthorized: It is not known who calls.
        Forbidden: It is, and that one may not, or it does not matter who it is.
    """
    if (error := refusal(scope, rule)) is not None:
        raise error


def refusal(scope: MutableMapping[str, Any], rule: Rule) -> HayserveError | None:
    """Why whoever has sent a request may not; None for one who may."""
    identity = identity_in(scope)
    if rule is Rule.OPEN:
        return None
    if identity.refusal is not None:
        return identity.refusal()
    if rule in _NOT_FOR_PAGES and scope.get("state", {}).get(FOREIGN):
        return Forbidden(
            "Pages of other origins may not do this, whatever key they show.",
            hint="Use the command line.",
        )
    return None if _may(identity, rule) else _lacking(identity, _WANTED.get(rule, "admin"))


def _lacking(identity: Identity, wanted: str) -> HayserveError:
    if not identity.is_known:
        return Unauthorized("This needs a key.", hint=HOW.format(scope=wanted))
    return Forbidden(
        f"The {identity.label} has not the scope `{wanted}`, which this needs.",
        hint=f"It has {identity.scopes or 'none'}. "
        f"`hayserve keys create NAME --scope {wanted}` makes a key that has it.",
    )


def _may(identity: Identity, rule: Rule) -> bool:
    scopes = identity.scopes
    match rule:
        case Rule.SEE:
            return bool(scopes)
        case Rule.RUN:
            return scopes.runs_some
        case Rule.RUNS:
            return scopes.is_admin or (identity.is_known and scopes.runs_some)
        case Rule.DEPLOY:
            return scopes.may_deploy
        case _:
            return scopes.is_admin
