"""What is typed about a key, as the server takes it."""

import re
from collections.abc import Iterable

import typer

from hayserve.access.budget import Budget
from hayserve.access.scopes import Scopes
from hayserve.errors import InvalidRequest

_DURATION = re.compile(r"(\d{1,9})([smhdw])", re.ASCII)
_SECONDS = (("s", 1), ("m", 60), ("h", 3600), ("d", 86_400), ("w", 604_800))
_SCOPES = "run, run:NAME for one deployment, deploy or admin"


def scopes_in(typed: Iterable[str]) -> list[str]:
    """The scopes that are typed.

    Raises:
        typer.BadParameter: There is none, or one of them is no scope.
    """
    words = list(typed)
    if not words:
        raise typer.BadParameter(
            f"Say what the key may do: --scope with {_SCOPES}. It may be repeated.",
            param_hint="--scope",
        )
    try:
        return list(Scopes(words).words)
    except InvalidRequest as error:
        raise typer.BadParameter(
            f"{error.message} Scopes are {_SCOPES}.", param_hint="--scope"
        ) from None


def budget_in(typed: Iterable[str]) -> Budget:
    """The budget that is typed, as `kind=number` each.

    Raises:
        typer.BadParameter: A kind is not known, or its number is no whole one from 1 up.
    """
    limits: dict[str, int] = {}
    for text in typed:
        kind, _, number = text.partition("=")
        name = kind.replace("-", "_")
        if name not in Budget.__slots__:
            raise typer.BadParameter(
                f"{text!r} is no budget; it is kind=number with one of {_kinds()}.",
                param_hint="--budget",
            )
        limits[name] = int(number) if number.isascii() and number.isdecimal() else 0
    try:
        return Budget.of(limits)
    except InvalidRequest as error:
        message = error.message.replace("_", "-")
        raise typer.BadParameter(f"{message} {error.hint}", param_hint="--budget") from None


def seconds_in(typed: str, *, option: str) -> int:
    """A duration such as `30s`, `15m`, `12h`, `30d` or `2w`, in seconds.

    Raises:
        typer.BadParameter: It is none.
    """
    found = _DURATION.fullmatch(typed)
    seconds = int(found[1]) * dict(_SECONDS)[found[2]] if found else 0
    if not seconds:
        raise typer.BadParameter(
            f"{typed!r} is no duration; type one such as 30s, 15m, 12h, 30d or 2w.",
            param_hint=option,
        )
    return seconds


def duration(seconds: int) -> str:
    """The same the other way round: `3600` is `1h`."""
    unit, length = next(
        (unit, length) for unit, length in reversed(_SECONDS) if seconds % length == 0
    )
    return f"{seconds // length}{unit}"


def _kinds() -> str:
    return ", ".join(name.replace("_", "-") for name in Budget.__slots__)
