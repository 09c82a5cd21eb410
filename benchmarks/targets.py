"""How fast hayserve has to be: what is asked for, row by row."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType


class Measure(Enum):
    """What a goal is about."""

    OVER_HAYHOOKS = "how many times better than Hayhooks"
    AT_LEAST = "our figure, at least"
    AT_MOST = "our figure, at most"
    OVER_FLOOR = "our figure over the floor's, at most"


@dataclass(frozen=True, slots=True)
class Goal:
    value: float
    measure: Measure = Measure.OVER_HAYHOOKS

    def is_reached(self, ours: float, *, ratio: float | None, floor: float | None) -> bool | None:
        """Whether it is; None if that is not known, as there is nothing to compare with."""
        match self.measure:
            case Measure.OVER_HAYHOOKS:
                return None if ratio is None else ratio >= self.value
            case Measure.AT_LEAST:
                return ours >= self.value
            case Measure.AT_MOST:
                return ours <= self.value
            case Measure.OVER_FLOOR:
                return None if not floor else ours / floor <= self.value

    def __str__(self) -> str:
        match self.measure:
            case Measure.OVER_HAYHOOKS:
                return f"{self.value:g}x"
            case Measure.AT_LEAST:
                return f">= {self.value:g}"
            case Measure.AT_MOST:
                return f"<= {self.value:g}"
            case Measure.OVER_FLOOR:
                return f"floor x {self.value:g}"


GOALS: Mapping[str, Goal] = MappingProxyType(
    {
        "rest-sync-32": Goal(8),
        "rest-async-32": Goal(8),
        "reply-sync": Goal(8),
        "reply-async": Goal(8),
        "reply-sync-streamed": Goal(8),
        "reply-async-streamed": Goal(15),
        "generator-sync": Goal(20),
        "generator-async": Goal(3.5),
        "agent-sync": Goal(7),
        "agent-async": Goal(3),
        "pipeline-sync": Goal(3.5),
        "pipeline-async": Goal(3.5),
        "tool-sync": Goal(4.5),
        "tool-async": Goal(2.8),
        "answer-sync": Goal(2.2),
        "answer-async": Goal(2.5),
        "paced-sync-128": Goal(1.05, Measure.AT_MOST),
        "paced-sync-256": Goal(1.10, Measure.AT_MOST),
        "paced-async-256": Goal(1.05, Measure.AT_MOST),
        "capacity-sync": Goal(256, Measure.AT_LEAST),
        "capacity-async": Goal(448, Measure.AT_LEAST),
        "thinking-sync-400": Goal(5.1, Measure.AT_MOST),
        "paced-async-256-cpu": Goal(1.6, Measure.OVER_FLOOR),
        "openai-sync": Goal(1.8),
        "openai-async": Goal(1.2),
        "health-under-load": Goal(50, Measure.AT_MOST),
    }
)
