"""How much a key may use."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from hayserve.errors import InvalidRequest

_LARGEST = 10**15


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Limits of one key, on all workers together; None for no limit.

    Args:
        requests_per_minute: How many requests it may send in a minute of the clock.
        concurrent_runs: How many of its runs may be under way or wait at a time.
        tokens_per_day: How many tokens its runs may use in a day, in UTC.
        run_seconds_per_day: How many seconds its runs may take together in a day, in UTC.
    """

    requests_per_minute: int | None = None
    concurrent_runs: int | None = None
    tokens_per_day: int | None = None
    run_seconds_per_day: int | None = None

    def __bool__(self) -> bool:
        """Whether it limits anything."""
        return self != NO_BUDGET

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Self:
        """The budget with these limits.

        Raises:
            InvalidRequest: One of them is unknown, or no whole number from 1 up.
        """
        for name, value in given.items():
            if name not in cls.__slots__:
                raise InvalidRequest(
                    f"There is no budget {name!r}.",
                    hint=f"There are {', '.join(cls.__slots__)}.",
                    param="budget",
                )
            is_whole = isinstance(value, int) and not isinstance(value, bool)
            if value is not None and not (is_whole and 1 <= value <= _LARGEST):
                raise InvalidRequest(
                    f"The budget {name!r} is {value!r}.",
                    hint="It is a whole number from 1 up.",
                    param="budget",
                )
        return cls(**given)

    def as_fields(self) -> dict[str, int]:
        """The limits that there are, by name."""
        return {name: value for name, value in asdict(self).items() if value is not None}


NO_BUDGET = Budget()
