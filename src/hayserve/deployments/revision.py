"""A revision: what was once accepted under a name, and can be served again at any time."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from hayserve.deployments.deployment import Origin
from hayserve.wrappers.run_limits import NO_LIMITS, RunLimits

Kind = Literal["folder", "yaml", "object", "thing"]

YAML_FILE = "pipeline.yml"


@dataclass(frozen=True, slots=True)
class Author:
    """Who changes what is served.

    Args:
        by: Whose key it was.
        where: Where it was done, as far as it is known.
    """

    by: str = ""
    where: str = ""


NOBODY = Author()


@dataclass(frozen=True, slots=True)
class Content:
    """What a revision is made of. Equal contents are served alike.

    Args:
        kind: A wrapper's folder, a pipeline in YAML, an object in a Python file, or a thing in the
            server's own memory.
        digest: The hash of its files; of an object, of the file that it is in.
        place: Where an object is: `file.py:object`.
        parameters: What its `setup()` is called with.
        limits: The limits of its runs that the deploy gave.
        description: One line for people; empty to take the wrapper's own.
        skip_mcp: Whether it is kept out of the list of MCP tools.
    """

    kind: Kind
    digest: str
    place: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict[str, Any])
    limits: RunLimits = NO_LIMITS
    description: str = ""
    skip_mcp: bool = False

    @property
    def is_stored(self) -> bool:
        """Whether its files are in the database; else they are where the server found them."""
        return self.kind in {"folder", "yaml"}


@dataclass(frozen=True, slots=True)
class Revision:
    """One accepted content of a name.

    Args:
        name: The deployment's name.
        number: 1 for the first of that name.
        content: What it is made of.
        origin: Where it came from.
        author: Who deployed it.
        deployed_at: When, in UTC.
    """

    name: str
    number: int
    content: Content
    origin: Origin
    author: Author
    deployed_at: datetime
