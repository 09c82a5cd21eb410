"""What a deploy asks for, and what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from hayserve.deployments.bundle import Bundle
from hayserve.deployments.deployment import Origin
from hayserve.deployments.revision import NOBODY, Author, Content
from hayserve.wrappers.run_limits import NO_LIMITS, RunLimits


@dataclass(frozen=True, slots=True)
class Order:
    """What a deploy asks for.

    Args:
        name: The name to serve it under.
        bundle: Its files; None for what is not made of files that the server keeps.
        kind: A wrapper's folder, the one file `pipeline.yml`, an object in a Python file, or a
            thing in memory.
        digest: The hash of what has no bundle.
        place: Where an object is: `file.py:object`.
        parameters: What its `setup()` is called with.
        limits: The limits of its runs; what is None is as the wrapper or the settings say.
        aliases: More names; None for those that the deployment that it replaces has.
        overwrite: Whether it may replace a deployment of that name.
        keep: Whether it is there again after a restart of the server.
        description: One line for people; empty to take the wrapper's own.
        skip_mcp: Whether it is kept out of the list of MCP tools.
        check: A question that the new revision is asked before it is served; None for none.
        origin: Where it comes from.
        author: Who asks for it.
        fresh: Whether it becomes a new revision even if it equals the one that is served.
    """

    name: str
    bundle: Bundle | None
    kind: Literal["folder", "yaml", "object", "thing"] = "folder"
    digest: str = ""
    place: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict[str, Any])
    limits: RunLimits = NO_LIMITS
    aliases: tuple[str, ...] | None = None
    overwrite: bool = False
    keep: bool = True
    description: str = ""
    skip_mcp: bool = False
    check: str | None = None
    origin: Origin = "deployed"
    author: Author = NOBODY
    fresh: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name, *(self.aliases or ()))

    @property
    def content(self) -> Content:
        """What it would be served as."""
        return Content(
            kind=self.kind,
            digest=self.bundle.digest if self.bundle is not None else self.digest,
            place=self.place,
            parameters=self.parameters,
            limits=self.limits,
            description=self.description,
            skip_mcp=self.skip_mcp,
        )

    def of(self, author: Author) -> "Order":
        """The same, asked for by `author`."""
        return replace(self, author=author)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a change.

    Args:
        name: The deployment's own name.
        revision: The number of the revision that is served; None for nothing any more.
        digest: The hash of what is served.
        aliases: Its other names.
        changed: Whether anything is different now.
        workers: How many workers serve it so.
        note: What there is to say about it; may be empty.
        answer: What the new revision answered to the check; None where it was not asked.
    """

    name: str
    revision: int | None
    digest: str = ""
    aliases: tuple[str, ...] = ()
    changed: bool = True
    workers: int = 1
    note: str = ""
    answer: str | None = None
