"""A change of what is served, and how far the workers have come with it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeAlias

from hayserve.deployments.deployment import Origin
from hayserve.deployments.revision import Author, Revision

Action = Literal["deploy", "rollback", "undeploy", "alias"]
Stage = Literal["loading", "holding", "committed", "done", "aborted"]
Reached = Literal["loaded", "held", "serving", "failed"]

# An error as it goes through the database: the arguments of the class that is named.
ErrorFields: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Active:
    """What should be served under a name.

    Args:
        name: The name.
        revision: What is served.
        aliases: More names for it.
        keep: Whether it is there again after a start of the server.
    """

    name: str
    revision: Revision
    aliases: tuple[str, ...] = ()
    keep: bool = True

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name, *self.aliases)


@dataclass(frozen=True, slots=True)
class Change:
    """One change of one deployment.

    Args:
        id: Its number.
        name: The deployment's name.
        action: What was asked for.
        revision: What is to be served; None for nothing any more.
        aliases: Its other names.
        keep: Whether it is there again after a start of the server.
        stage: How far it has come: every worker loads, every worker holds new requests back, the
            database says so, done. Or aborted, and nothing has changed.
        coordinator: The worker that leads it.
        author: Who asked for it.
        begun_at: When.
        ended_at: When it was done or aborted; None while it is open.
        reason: Why it was aborted.
    """

    id: int
    name: str
    action: Action
    revision: Revision | None
    aliases: tuple[str, ...]
    keep: bool
    stage: Stage
    coordinator: str
    author: Author
    begun_at: datetime
    ended_at: datetime | None = None
    reason: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name, *self.aliases)


@dataclass(frozen=True, slots=True)
class Answer:
    """How far one worker has come with a change, or why it cannot."""

    worker: str
    reached: Reached
    error: ErrorFields | None = None


@dataclass(frozen=True, slots=True)
class Declaration:
    """What a server was last started with: the hash of it, and whether it could not be served."""

    digest: str
    has_failed: bool


@dataclass(frozen=True, slots=True)
class DeclaredFailure:
    """What a server was started with and cannot be served."""

    name: str
    origin: Origin
    error: ErrorFields


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the database says at one moment.

    Args:
        active: What should be served, in the order in which it was deployed.
        open_changes: The changes that are not yet done.
        failures: What servers were started with and cannot be served.
        declared: In which run of the server it was last decided what becomes of what this node is
            started with, by name; by the empty name for all of it.
    """

    active: Sequence[Active]
    open_changes: Sequence[Change]
    failures: Sequence[DeclaredFailure]
    declared: Mapping[str, str]
