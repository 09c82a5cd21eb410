"""A deployment: a wrapper that is loaded and has a name."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from hayserve.deployments.uses import Uses
from hayserve.errors import HayserveError
from hayserve.wrappers.base import BasePipelineWrapper, Kind
from hayserve.wrappers.capabilities import Capabilities
from hayserve.wrappers.own_loop import OwnLoop
from hayserve.wrappers.run_limits import NO_LIMITS, RunLimits

Origin = Literal["command line", "pipelines dir", "program", "deployed"]


def nothing() -> None:
    """What there is to unload of a thing that was in memory before."""


@dataclass(slots=True)
class Blocked:
    """How often a deployment held an event loop up.

    Args:
        count: How often.
        longest: For how long at most, in seconds.
    """

    count: int = 0
    longest: float = 0.0

    def note(self, seconds: float, *, is_new: bool) -> None:
        """It did so for `seconds` now; `is_new` the first time that this is said of a block."""
        self.count += is_new
        self.longest = max(self.longest, seconds)


@dataclass(frozen=True, slots=True)
class Deployment:
    """One loaded wrapper and all that the server knows of it.

    Args:
        name: The path it is served under, and its first model name.
        aliases: More names for the same loaded instance.
        wrapper: The instance that answers.
        can: What it can do.
        kind: What it holds, as a label.
        description: One line for people; may be empty.
        revision: The hash of what was loaded.
        origin: Where it came from: what the server was started with, or a deploy.
        skip_mcp: Whether it is kept out of the list of MCP tools.
        loaded_at: When its `setup()` had ended, in UTC.
        number: Which revision of its name it is, from 1; 0 if it is none.
        uses: Who uses it at the moment.
        limits: The limits of its runs, whatever the name that they use; what is None is as the
            settings say.
        owns: Whether what the wrapper holds was made for this deployment and ends with it.
        unload: Gives back the modules of its code; a second call does nothing.
        loop: The event loop of its own on which its async code runs; None for the server's.
        blocked: How often it held an event loop up.
    """

    name: str
    wrapper: BasePipelineWrapper
    can: Capabilities
    aliases: tuple[str, ...] = ()
    kind: Kind = "unknown"
    description: str = ""
    revision: str = ""
    origin: Origin = "deployed"
    loaded_at: datetime | None = None
    skip_mcp: bool = False
    number: int = 0
    uses: Uses = field(default_factory=Uses, compare=False)
    limits: RunLimits = NO_LIMITS
    owns: bool = True
    unload: Callable[[], object] = field(default=nothing, compare=False)
    loop: OwnLoop | None = field(default=None, compare=False)
    blocked: Blocked = field(default_factory=Blocked, compare=False)

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name, *self.aliases)


@dataclass(frozen=True, slots=True)
class FailedDeployment:
    """Something that should be served and could not be loaded."""

    name: str
    error: HayserveError
    origin: Origin
