"""The commands that deploy and undeploy."""

import base64
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import typer

from hayserve.cli import show
from hayserve.cli.client import Answer, Client
from hayserve.cli.connect import connect
from hayserve.cli.flags import Deploy, DeployFiles, DeployYaml, Reach, Undeploy
from hayserve.settings import load

HIDDEN = ".*"


def deploy(given: Deploy) -> None:
    """Deploy a folder or a YAML file, whichever `given.path` is."""
    wanted = {"overwrite": given.overwrite, "aliases": given.aliases}
    kept = not given.skip_saving_files
    if given.path.is_dir():
        name = given.name or given.path.resolve().name
        bundle = {"name": name, "files": files_in(given.path), "save_files": kept, **wanted}
        _send(given, Client.deploy_files, bundle)
    elif given.path.suffix in {".yml", ".yaml"}:
        source = given.path.read_text(encoding="utf-8")
        name = given.name or given.path.stem
        bundle = {"name": name, "source_code": source, "save_file": kept, **wanted}
        _send(given, Client.deploy_yaml, bundle)
    else:
        raise typer.BadParameter("It is neither a folder nor a YAML file.", param_hint="PATH")


def deploy_files(given: DeployFiles) -> None:
    """Deploy a folder, as `hayhooks pipeline deploy-files` does."""
    bundle = {
        "name": given.name,
        "files": files_in(given.pipeline_dir),
        "save_files": not given.skip_saving_files,
        "overwrite": given.overwrite,
    }
    _send(given, Client.deploy_files, bundle)


def deploy_yaml(given: DeployYaml) -> None:
    """Deploy a YAML file, as `hayhooks pipeline deploy-yaml` does."""
    bundle = {
        "name": given.name or given.pipeline_file.stem,
        "source_code": given.pipeline_file.read_text(encoding="utf-8"),
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


def files_in(folder: Path) -> dict[str, str | dict[str, str]]:
    """The files of a bundle by relative path: as text, or `{"base64": ...}` if they are not text.

    Hidden files and what `files_to_ignore_patterns` names stay behind.
    """
    skipped = [HIDDEN, *load().files_to_ignore_patterns]
    paths = (path.relative_to(folder) for path in sorted(folder.rglob("*")) if path.is_file())
    served = (path for path in paths if not _is_any_of(path, skipped))
    files = {path.as_posix(): _content(folder / path) for path in served}
    if not files:
        raise typer.BadParameter(f"{str(folder)!r} has no files to serve.", param_hint="PATH")
    return files


def _is_any_of(path: Path, patterns: Iterable[str]) -> bool:
    """Whether a pattern matches the path or a folder on the way to it."""
    return any(one.match(pattern) for one in (path, *path.parents) for pattern in patterns)


def _content(path: Path) -> str | dict[str, str]:
    content = path.read_bytes()
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(content).decode("ascii")}


def _send(
    given: Reach, send: Callable[[Client, Mapping[str, Any]], Answer], bundle: Mapping[str, Any]
) -> None:
    with connect(given) as client, show.waiting(f"Deploying {bundle['name']} ..."):
        answer = send(client, bundle)
    aliases = answer.get("aliases")
    notes = [f"Also called: {', '.join(aliases)}"] if aliases else []
    done = f"Pipeline {answer.get('name', bundle['name'])} successfully deployed!"
    _confirm(given, answer, notes, done=done)


def _confirm(given: Reach, answer: Answer, notes: list[str] | None = None, *, done: str) -> None:
    if given.as_json:
        show.as_json(answer)
    else:
        show.success(done, *(notes or []))
