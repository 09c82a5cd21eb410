"""The commands `hayserve keys ...`."""

import typer

from hayserve.cli import key_flags as flags
from hayserve.cli.flags import command

keys = typer.Typer(no_args_is_help=True, help="Make keys for callers, list and revoke them.")


@command(keys, flags.Create)
def create(given: flags.Create) -> None:
    """Make a key and print it; it is shown this once."""
    from hayserve.cli import keys  # noqa: PLC0415  loaded only when called

    keys.create(given)


@command(keys, flags.Listing, name="list")
def list_(given: flags.Listing) -> None:
    """List the keys: what they may do, when they end and when they were last used."""
    from hayserve.cli import keys  # noqa: PLC0415  loaded only when called

    keys.show_all(given)


@command(keys, flags.Rotate)
def rotate(given: flags.Rotate) -> None:
    """Give a key a new text and print it; all else about the key stays."""
    from hayserve.cli import keys  # noqa: PLC0415  loaded only when called

    keys.rotate(given)


@command(keys, flags.Revoke)
def revoke(given: flags.Revoke) -> None:
    """End a key; within a second no worker accepts it."""
    from hayserve.cli import keys  # noqa: PLC0415  loaded only when called

    keys.revoke(given)
