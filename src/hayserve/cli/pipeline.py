"""The commands `hayserve pipeline ...`, as users of Hayhooks type them."""

import typer

from hayserve.cli import flags
from hayserve.cli.flags import command
from hayserve.errors import Misconfigured

pipeline = typer.Typer(no_args_is_help=True, help="Deploy, run and undeploy, as with Hayhooks.")


@command(pipeline, flags.DeployFiles, name="deploy-files")
def deploy_files(given: flags.DeployFiles) -> None:
    """Deploy a folder with a pipeline_wrapper.py on the running server."""
    from hayserve.cli import deploy  # noqa: PLC0415  loaded only when called

    deploy.deploy_files(given)


@command(pipeline, flags.DeployYaml, name="deploy-yaml")
def deploy_yaml(given: flags.DeployYaml) -> None:
    """Deploy a pipeline that is described in YAML on the running server."""
    from hayserve.cli import deploy  # noqa: PLC0415  loaded only when called

    deploy.deploy_yaml(given)


@command(pipeline, flags.Undeploy)
def undeploy(given: flags.Undeploy) -> None:
    """Take a deployment off the running server."""
    from hayserve.cli import deploy  # noqa: PLC0415  loaded only when called

    deploy.undeploy(given)


@command(pipeline, flags.Call)
def run(given: flags.Call) -> None:
    """Run a deployment and print its answer."""
    from hayserve.cli import call  # noqa: PLC0415  loaded only when called

    call.call(given)


@pipeline.command(
    hidden=True, context_settings={"ignore_unknown_options": True, "allow_extra_args": True}
)
def deploy(_context: typer.Context) -> None:
    """Say what to type instead."""
    raise Misconfigured(
        "There is no command `pipeline deploy`.",
        hint="Type `hayserve deploy PATH`, `pipeline deploy-files DIR` or "
        "`pipeline deploy-yaml FILE`.",
    )
