"""The commands that deploy and undeploy."""

from collections.abc import Callable, Mapping
from pathlib import Path
from shlex import quote
from typing import Any

import typer

from hayserve.cli import folder, show
from hayserve.cli.client import Answer, Client
from hayserve.cli.connect import connect
from hayserve.cli.flags import Deploy, DeployFiles, DeployYaml, Reach, Undeploy
from hayserve.cli.names import check
from hayserve.deployments.bundle import WRAPPER_FILE
from hayserve.settings import load


def deploy(given: Deploy) -> None:
    """Deploy a folder or a YAML file, whichever `given.path` is."""
    # Without a word about aliases, a deployment that is replaced keeps those that it has.
    bundle: dict[str, Any] = {"overwrite": given.overwrite, "aliases": given.aliases or None}
    if given.description is not None:
        bundle["description"] = given.description
    kept = not given.skip_saving_files
    if given.path.is_dir():
        if given.skip_mcp:
            raise typer.BadParameter(
                "It is for YAML; a wrapper's class says `skip_mcp = True`.", param_hint="--skip-mcp"
            )
        bundle |= _folder(given.path, name=given.name) | {"save_files": kept}
        _send(given, Client.deploy_files, bundle)
    elif given.path.suffix in {".yml", ".yaml"} and given.path.is_file():
        bundle |= _yaml(given.path, name=given.name) | {"save_file": kept}
        _send(given, Client.deploy_yaml, bundle | ({"skip_mcp": True} if given.skip_mcp else {}))
    else:
        raise typer.BadParameter(_why_not(given.path), param_hint="PATH")


def deploy_files(given: DeployFiles) -> None:
    """Deploy a folder, as `hayhooks pipeline deploy-files` does."""
    bundle = {
        **_folder(given.pipeline_dir, name=given.name),
        "save_files": not given.skip_saving_files,
        "overwrite": given.overwrite,
    }
    _send(given, Client.deploy_files, bundle)


def deploy_yaml(given: DeployYaml) -> None:
    """Deploy a YAML file, as `hayhooks pipeline deploy-yaml` does."""
    bundle = {
        **_yaml(given.pipeline_file, name=given.name),
        "overwrite": given.overwrite,
        "description": given.description,
        "skip_mcp": given.skip_mcp,
        "save_file": given.save_file,
    }
    _send(given, Client.deploy_yaml, bundle)


def undeploy(given: Undeploy) -> None:
    with connect(given) as client, show.waiting(f"Undeploying {given.name} ..."):
        answer = client.undeploy(given.name)
    _confirm(given, answer, done=f"Pipeline {given.name} successfully undeployed!")


def _folder(path: Path, *, name: str | None) -> dict[str, Any]:
    name = _name(name, default=path.resolve().name)
    content = folder.read(path, ignore=load().files_to_ignore_patterns)
    for remark in content.left_out:
        show.warning(remark)
    if not content.files:
        raise typer.BadParameter(f"{str(path)!r} has no files to serve.", param_hint="PATH")
    return {"name": name, "files": content.files}


def _yaml(path: Path, *, name: str | None) -> dict[str, Any]:
    name = _name(name, default=path.stem)
    return {"name": name, "source_code": path.read_text(encoding="utf-8")}


def _name(given: str | None, *, default: str) -> str:
    name = default if given is None else given
    check(name, param_hint="--name")
    return name


def _why_not(path: Path) -> str:
    if path.name == WRAPPER_FILE:
        return f"A wrapper is deployed by its folder: hayserve deploy {quote(str(path.parent))}"
    if path.suffix == ".py" or ".py:" in path.name:
        return (
            "An object in a Python file is served by `hayserve run file.py:object`; "
            "a deploy takes a folder or a YAML file."
        )
    if not path.exists():
        return f"{str(path)!r} does not exist."
    return "It is neither a folder nor a YAML file."


def _send(
    given: Reach, send: Callable[[Client, Mapping[str, Any]], Answer], bundle: Mapping[str, Any]
) -> None:
    with connect(given) as client, show.waiting(f"Deploying {bundle['name']} ..."):
        answer = send(client, bundle)
    aliases = answer.get("aliases")
    also = f", also as {', '.join(aliases)}" if aliases else ""
    name = answer.get("name", bundle["name"])
    _confirm(given, answer, done=f"Pipeline {name} successfully deployed{also}!")


def _confirm(given: Reach, answer: Answer, *, done: str) -> None:
    if given.as_json:
        show.as_json(answer)
    else:
        note = answer.get("note")
        show.success(done, *([str(note)] if note else []))
