"""What is known from outside of a run that is alive, and what can be done with it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Protocol, Self


@dataclass(frozen=True, slots=True, kw_only=True)
class RunState:
    """A run that is alive, as it was when somebody looked.

    Args:
        id: Its id, which is that of its request.
        deployment: The name of the deployment.
        revision: The revision that it runs; None for what has none.
        method: The method of the wrapper.
        streamed: Whether its caller reads the answer as it comes.
        caller: Who asked for it.
        owner: Whose it is.
        stage: What it does: `waiting`, `running`, `model`, `tool: NAME`, `component: NAME`.
        age_seconds: How long it has been there, its wait included.
        deadline_in_seconds: How long it may still take; less than 0 when that has passed, None
            without a limit.
        cancelled: Whether it was told to stop and its code has not ended yet. So it is with code
            that hangs in a thread, which nothing can end.
        worker: The worker that has it, as people are told.
    """

    id: str
    deployment: str
    revision: int | None
    method: str
    streamed: bool
    caller: str
    owner: str = ""
    stage: str
    age_seconds: float
    deadline_in_seconds: float | None = None
    cancelled: bool = False
    worker: str = ""

    def as_fields(self) -> dict[str, Any]:
        """The state as JSON says it; times to the millisecond."""
        left = self.deadline_in_seconds
        return {
            **asdict(self),
            "age_seconds": round(self.age_seconds, 3),
            "deadline_in_seconds": None if left is None else round(left, 3),
        }

    @classmethod
    def from_fields(cls, given: Mapping[str, Any]) -> Self:
        """The state that `as_fields` gave, maybe in another version of this program."""
        known = {one.name for one in fields(cls)}
        return cls(**{name: value for name, value in given.items() if name in known})


class Runs(Protocol):
    """The runs of one worker; asked on its event loop."""

    def live(self) -> Sequence[RunState]:
        """All that wait, run, or were told to stop and have not ended."""
        ...

    def cancel(self, run_id: str, *, reason: str, owner: str | None = None) -> bool:
        """Tell a run to stop; False if there is none of that id, or it is not that owner's."""
        ...
