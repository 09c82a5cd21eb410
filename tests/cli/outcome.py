"""What comes of typing a command."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Outcome:
    """What a typed command did."""

    code: int
    out: str
    err: str


Typed = Callable[..., Outcome]
