"""What a budget limits, and how who is beyond a limit is told."""

import math
from dataclasses import dataclass

from hayserve.errors import LimitReached

_MINUTE, _HOUR, _DAY = 60, 3600, 86400


@dataclass(frozen=True, slots=True)
class Kind:
    """One of the things that a budget limits.

    Args:
        name: What it is called in the database.
        field: And in a `Budget`.
        seconds: How long a window lasts in which so much may be used; 0 if what is used is given
            back instead.
        used: What whoever used all of it has done, with a place for the limit.
        hint: What to do then, with a place for when the next window begins.
    """

    name: str
    field: str
    seconds: int
    used: str
    hint: str

    def window_at(self, now: float) -> int:
        """The number of the window that a time is in."""
        return math.floor(now / self.seconds) if self.seconds else 0

    def ends_at(self, window: int) -> float:
        """When a window ends."""
        return float((window + 1) * self.seconds) if self.seconds else math.inf

    def reached(self, who: str, limit: int, *, seconds: float) -> LimitReached:
        """The error for whoever has used all of it; the next window begins in `seconds`."""
        left = max(1, math.ceil(seconds)) if self.seconds else 1
        return LimitReached(
            f"{who} {self.used.format(limit=limit)}.",
            hint=self.hint.format(left=duration(left)),
            retry_after=left,
        )


def duration(seconds: int) -> str:
    """A time as OpenAI writes it: `1s`, `6m0s`, `23h59m0s`.

    Source: https://platform.openai.com/docs/guides/rate-limits#rate-limits-in-headers
    """
    minutes, rest = divmod(seconds, _MINUTE)
    hours, minutes = divmod(minutes, _HOUR // _MINUTE)
    if hours:
        return f"{hours}h{minutes}m{rest}s"
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"


_NEXT_DAY = "The next day, in UTC, begins in {left}."

REQUESTS = Kind(
    "requests",
    "requests_per_minute",
    _MINUTE,
    "has sent its {limit} requests of this minute",
    "The next minute begins in {left}.",
)
RUNS = Kind(
    "runs",
    "concurrent_runs",
    0,
    "has {limit} runs under way, as many as it may at a time",
    "Send the request again when one of them has ended.",
)
TOKENS = Kind(
    "tokens",
    "tokens_per_day",
    _DAY,
    "has used its {limit} tokens of this day",
    _NEXT_DAY,
)
RUN_SECONDS = Kind(
    "run_seconds",
    "run_seconds_per_day",
    _DAY,
    "has used its {limit} seconds of runs of this day",
    _NEXT_DAY,
)
