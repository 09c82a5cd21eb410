"""What each of the commands `hayserve keys ...` takes on its command line."""

from dataclasses import dataclass, field
from typing import Annotated

import typer

from hayserve.cli.flags import Reach, Where

Name = Annotated[str, typer.Argument(help="The name of the key.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Create(Where):
    """Flags of `hayserve keys create`."""

    name: Annotated[str, typer.Argument(help="What to call the key.")]
    scopes: Annotated[
        list[str],
        typer.Option(
            "--scope", help="What it may do: run, run:NAME, deploy or admin; may be repeated."
        ),
    ] = field(default_factory=list[str])
    expires: Annotated[
        str | None,
        typer.Option("--expires", help="When it ends by itself, such as 12h, 30d or 2w; never."),
    ] = None
    budgets: Annotated[
        list[str],
        typer.Option(
            "--budget",
            help="How much it may use, kind=number: requests-per-minute, concurrent-runs, "
            "tokens-per-day, run-seconds-per-day; may be repeated.",
        ),
    ] = field(default_factory=list[str])


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing(Reach):
    """Flags of `hayserve keys list`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotate(Where):
    """Flags of `hayserve keys rotate`."""

    name: Name
    keep_old: Annotated[
        str | None,
        typer.Option(
            "--keep-old", help="How long the old text is accepted as well, such as 1h; not at all."
        ),
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Revoke(Where):
    """Flags of `hayserve keys revoke`."""

    name: Name
