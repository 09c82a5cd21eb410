"""What `hayserve doctor` finds: how bad it is, what it is, and what to do about it."""

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

Level: TypeAlias = Literal["danger", "warning", "note", "ok"]

Part: TypeAlias = Literal["server", "settings", "keys", "files", "client"]

LEVELS: Final[tuple[Level, ...]] = ("danger", "warning", "note", "ok")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is open, or closed.

    Args:
        level: "danger" lets in whoever should stay out, "warning" may, "note" is as it should be
            in many places and not in all, "ok" is closed.
        what: What is open and to whom.
        fix: One command or setting; empty where there is nothing to do.
    """

    level: Level
    what: str
    fix: str = ""
