"""The limits of the runs of one deployment, where it has its own."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any, NamedTuple, Self, cast

from hayserve.errors import InvalidRequest
from hayserve.wrappers.nearest import nearest

_MOST = 1_000_000_000
_LONGEST_VALUE = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLimits:
    """How much of the server the runs of one deployment may take; None is as the settings say.

    Args:
        max_runs: How many may be under way at once, in each worker.
        max_waiting: How many may wait for their turn, in each worker.
        run_timeout: How long one may take, its wait included, in seconds; 0 is ever.
        max_body_mb: How large the body of a request may be, in MB.
        max_upload_mb: How large a form with files may be, in MB.
    """

    max_runs: int | None = None
    max_waiting: int | None = None
    run_timeout: float | None = None
    max_body_mb: float | None = None
    max_upload_mb: float | None = None

    @classmethod
    def of(cls, said: object) -> Self:
        """The limits that somebody wrote down.

        Args:
            said: A mapping of names to numbers, or to None.

        Raises:
            InvalidRequest: It is no mapping, a name is not known, or a value cannot be that limit;
                `param` says where.
        """
        if not isinstance(said, Mapping):
            raise InvalidRequest(
                "Limits are numbers by name.",
                hint=f"The limits are {', '.join(map(repr, _RANGES))}.",
                param="limits",
            )
        given = {str(name): value for name, value in cast(Mapping[object, Any], said).items()}
        for name, value in given.items():
            _check(name, value)
        return cls(**given)

    def merged_over(self, other: "RunLimits") -> "RunLimits":
        """These limits, and where there is none, that of `other`."""
        return RunLimits(**{**other.as_fields(), **self.as_fields()})

    def as_fields(self) -> dict[str, Any]:
        """Those that are set, by name."""
        return {name: value for name, value in asdict(self).items() if value is not None}


NO_LIMITS = RunLimits()


class _Range(NamedTuple):
    """The values that a limit may have, up to `_MOST`."""

    least: float
    kind: type[int | float]
    words: str

    def holds(self, value: object) -> bool:
        if isinstance(value, bool) or not isinstance(value, int | self.kind):
            return False
        return self.least <= value <= _MOST


_RANGES: Mapping[str, _Range] = MappingProxyType(
    {
        "max_runs": _Range(1, int, "a whole number from 1"),
        "max_waiting": _Range(0, int, "a whole number from 0"),
        "run_timeout": _Range(0, float, "a number of seconds, or 0 for ever"),
        "max_body_mb": _Range(0.001, float, "a number of MB from 0.001"),
        "max_upload_mb": _Range(0.001, float, "a number of MB from 0.001"),
    }
)


def _check(name: str, value: object) -> None:
    if name not in _RANGES:
        raise InvalidRequest(
            f"There is no limit {name!r}.",
            hint=nearest(name, _RANGES, kind="limits"),
            param=f"limits.{name}",
        )
    if value is not None and not _RANGES[name].holds(value):
        shown = repr(value)
        if len(shown) > _LONGEST_VALUE:
            shown = f"{shown[:_LONGEST_VALUE]}…"
        raise InvalidRequest(
            f"The limit {name!r} is {_RANGES[name].words}, not {shown}.", param=f"limits.{name}"
        )
