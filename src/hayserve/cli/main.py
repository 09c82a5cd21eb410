"""The command `hayserve`.

Each command imports what it needs when it is called: `hayserve --help` loads neither Haystack nor
a web server.
"""

import sys
from io import TextIOWrapper
from typing import Annotated, cast

import typer

from hayserve.cli import flags
from hayserve.cli.flags import command
from hayserve.cli.key_commands import keys
from hayserve.cli.pipeline import pipeline
from hayserve.errors import HayserveError

app = typer.Typer(
    name="hayserve", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False
)
app.add_typer(keys, name="keys")
app.add_typer(pipeline, name="pipeline")


def main() -> None:
    """Run the command line; what cannot be done is said on stderr, with exit code 1."""
    for stream in (sys.stdout, sys.stderr):
        # a terminal that has no ✔ gets a ? and not a traceback
        cast(TextIOWrapper, stream).reconfigure(errors="replace")
    try:
        app()
    except HayserveError as error:
        from hayserve.cli import show  # noqa: PLC0415  loaded only when called

        show.failure(error)
        sys.exit(1)


def _print_version(asked: bool) -> None:  # noqa: FBT001  typer calls it
    if asked:
        from importlib.metadata import version  # noqa: PLC0415  loaded only when called

        typer.echo(version("hayserve"))
        raise typer.Exit


@app.callback()
def hayserve(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and leave."
        ),
    ] = False,
) -> None:
    """Serve Haystack agents and pipelines over HTTP."""


@command(app, flags.Run)
def run(given: flags.Run) -> None:
    """Start the server, with what is at PATH, or without a PATH in the pipelines folder."""
    from hayserve.cli import serve  # noqa: PLC0415  loaded only when called

    serve.run(given)


@command(app, flags.Init)
def init(given: flags.Init) -> None:
    """Make a folder with an agent that runs as it is, to start from."""
    from hayserve.cli import init  # noqa: PLC0415  loaded only when called

    init.init(given)


@command(app, flags.Status)
def status(given: flags.Status) -> None:
    """Show what is deployed on the server, or one deployment of it."""
    from hayserve.cli import status  # noqa: PLC0415  loaded only when called

    status.status(given)


@command(app, flags.Deploy)
def deploy(given: flags.Deploy) -> None:
    """Deploy a folder, an archive of one or a YAML file on the running server."""
    from hayserve.cli import deploy  # noqa: PLC0415  loaded only when called

    deploy.deploy(given)


@command(app, flags.UndeployOrPurge)
def undeploy(given: flags.UndeployOrPurge) -> None:
    """Take a deployment off the running server."""
    from hayserve.cli import deploy  # noqa: PLC0415  loaded only when called

    deploy.undeploy(given, purge=given.purge)


@command(app, flags.Rollback)
def rollback(given: flags.Rollback) -> None:
    """Serve an earlier revision of a deployment again."""
    from hayserve.cli import past  # noqa: PLC0415  loaded only when called

    past.rollback(given)


@command(app, flags.History)
def history(given: flags.History) -> None:
    """List the revisions of a deployment, the newest first."""
    from hayserve.cli import past  # noqa: PLC0415  loaded only when called

    past.history(given)


@command(app, flags.Diff)
def diff(given: flags.Diff) -> None:
    """Show what differs between two revisions of a deployment."""
    from hayserve.cli import past  # noqa: PLC0415  loaded only when called

    past.diff(given)


@command(app, flags.Alias)
def alias(given: flags.Alias) -> None:
    """List the aliases of a deployment, give it more or take some away."""
    from hayserve.cli import alias  # noqa: PLC0415  loaded only when called

    alias.alias(given)


@command(app, flags.CallOrChat)
def call(given: flags.CallOrChat) -> None:
    """Run a deployment and print its answer."""
    from hayserve.cli import call  # noqa: PLC0415  loaded only when called

    if given.chat is None:
        call.call(given)
    else:
        call.chat(given, given.chat)


@command(app, flags.Runs)
def runs(given: flags.Runs) -> None:
    """List what runs on the server, on all of its workers."""
    from hayserve.cli import runs  # noqa: PLC0415  loaded only when called

    runs.runs(given)


@command(app, flags.Cancel)
def cancel(given: flags.Cancel) -> None:
    """Stop runs that are under way."""
    from hayserve.cli import cancel  # noqa: PLC0415  loaded only when called

    cancel.cancel(given)


@command(app, flags.Doctor)
def doctor(given: flags.Doctor) -> None:
    """Say what is open and to whom, with the fix for each; exit with 1 if there is a danger."""
    from hayserve.cli import doctor  # noqa: PLC0415  loaded only when called

    doctor.doctor(given)
