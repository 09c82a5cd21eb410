"""The commands that deploy and undeploy."""

from collections.abc import Callable
from pathlib import Path

import typer

from hayserve.cli import show
from hayserve.cli.client import Answer, Client
from hayserve.cli.confirm import confirm, deployed
from hayserve.cli.connect import connect
from hayserve.cli.flags import Deploy, DeployFiles, DeployYaml, Reach, Undeploy
from hayserve.cli.parcel import (
    archive_of,
    check_can_be_deployed,
    files_of,
    is_yaml,
    name_for,
    yaml_of,
)
from hayserve.cli.typed_again import typed_again
from hayserve.cli.wishes import wishes_in
from hayserve.errors import ServerRefused


def deploy(given: Deploy) -> None:
    """Deploy a folder, an archive of one or a YAML file, whichever `given.path` is."""
    check_can_be_deployed(given.path)
    name, wishes = name_for(given.path, given=given.name), wishes_in(given)
    if is_yaml(given.path):
        body = {"name": name, "source_code": yaml_of(given.path), **wishes.as_json()}
        if given.skip_mcp:
            body["skip_mcp"] = True
        _send(given, given.path, name=name, send=lambda client: client.deploy_yaml(body))
        return
    if given.skip_mcp:
        raise typer.BadParameter(
            "It is for YAML; a wrapper's class says `skip_mcp = True`.", param_hint="--skip-mcp"
        )
    with archive_of(given.path) as archive:
        query = wishes.as_query()
        _send(
            given,
            given.path,
            name=name,
            send=lambda client: client.deploy_archive(name, archive, query),
        )


def deploy_files(given: DeployFiles) -> None:
    """Deploy a folder, as `hayhooks pipeline deploy-files` does."""
    body = {
        "name": name_for(given.pipeline_dir, given=given.name),
        "files": files_of(given.pipeline_dir).files,
        "save_files": not given.skip_saving_files,
        "overwrite": given.overwrite,
    }
    _send(
        given,
        given.pipeline_dir,
        name=given.name,
        send=lambda client: client.deploy_files(body),
    )


def deploy_yaml(given: DeployYaml) -> None:
    """Deploy a YAML file, as `hayhooks pipeline deploy-yaml` does."""
    name = name_for(given.pipeline_file, given=given.name)
    body = {
        "name": name,
        "source_code": yaml_of(given.pipeline_file),
        "overwrite": given.overwrite,
        "description": given.description,
        "skip_mcp": given.skip_mcp,
        "save_file": given.save_file,
    }
    _send(given, given.pipeline_file, name=name, send=lambda client: client.deploy_yaml(body))


def undeploy(given: Undeploy, *, purge: bool = False) -> None:
    with connect(given) as client, show.waiting(f"Undeploying {given.name} ..."):
        answer = client.undeploy(given.name, purge=purge)
    gone = ", and its history deleted" if purge else ""
    confirm(given, answer, done=f"Pipeline {given.name} successfully undeployed{gone}!")


def _send(given: Reach, path: Path, *, name: str, send: Callable[[Client], Answer]) -> None:
    with connect(given, sending=path) as client, show.waiting(f"Deploying {name} ..."):
        try:
            answer = send(client)
        except ServerRefused as refusal:
            if "--overwrite" in refusal.hint:
                refusal.hint = f"To replace it: {typed_again('--overwrite')}"
            raise
    confirm(given, answer, done=deployed(answer, name=name, done="deployed"))
