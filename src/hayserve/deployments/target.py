"""What can be served, as a path on the command line names it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from hayserve.deployments.bundle import WRAPPER_FILE
from hayserve.deployments.deployment import Origin
from hayserve.deployments.terms import NO_TERMS, Terms
from hayserve.errors import Misconfigured
from hayserve.wrappers.run_limits import NO_LIMITS, RunLimits

WRAPPER_CLASS = "PipelineWrapper"
YAML_SUFFIXES = (".yml", ".yaml")
_ACCEPTED = (
    "A path is a folder with a `pipeline_wrapper.py`, a folder of such folders and `.yml` files, "
    "a `.yml` pipeline, or `file.py:object`."
)


@dataclass(frozen=True, slots=True)
class Target:
    """One thing to serve.

    Args:
        name: The name it gets.
        kind: A wrapper's folder, a pipeline in YAML, an object in a Python file, or a thing that
            is already in memory.
        path: The folder or file.
        attribute: The object's name in the file, for kind "object".
        aliases: More names for it.
        origin: Who named it.
        revision: The hash of its files, where it is known.
        description: One line for people; empty to take the wrapper's own.
        skip_mcp: Whether it is kept out of the list of MCP tools.
        thing: The agent, pipeline or wrapper itself, for kind "thing".
        parameters: What its `setup()` is given, by name.
        limits: The limits of its runs; what is None is as the wrapper or the settings say.
        lean_openai: Whether its `OpenAIChatGenerator`s are made lean; if not, the wrapper's class
            may say so.
    """

    name: str
    kind: Literal["folder", "yaml", "object", "thing"]
    path: Path
    attribute: str = ""
    aliases: tuple[str, ...] = ()
    origin: Origin = "command line"
    revision: str = ""
    description: str = ""
    skip_mcp: bool = False
    thing: object = None
    parameters: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}), hash=False)
    limits: RunLimits = NO_LIMITS
    lean_openai: bool = False


def targets_at(text: str, *, origin: Origin = "command line") -> list[Target]:
    """What the path `text` names; a folder of deployments names several.

    Raises:
        Misconfigured: There is nothing at the path that can be served.
    """
    file_text, colon, wanted = text.rpartition(":")
    if colon and file_text.endswith(".py"):
        return [_object_target(Path(file_text), wanted, origin)]
    path = Path(text)
    if not path.exists():
        raise Misconfigured(f"There is nothing at {text!r}.", hint=_ACCEPTED)
    if path.is_dir():
        found = targets_in(path, origin=origin)
    elif path.suffix in YAML_SUFFIXES:
        found = [Target(path.stem, "yaml", path, origin=origin)]
    elif path.name == WRAPPER_FILE:
        found = targets_in(path.parent, origin=origin)
    elif path.suffix == ".py":
        found = [_object_target(path, WRAPPER_CLASS, origin)]
    else:
        found = []
    if not found:
        raise Misconfigured(f"{text!r} holds nothing that can be served.", hint=_ACCEPTED)
    return found


def targets_in(folder: Path, *, origin: Origin) -> list[Target]:
    """What a folder holds: itself if it is a wrapper's, else what lies directly in it."""
    if (folder / WRAPPER_FILE).is_file():
        return [Target(folder.resolve().name, "folder", folder, origin=origin)]
    files = [
        Target(path.stem, "yaml", path, origin=origin)
        for path in sorted(folder.iterdir())
        if path.suffix in YAML_SUFFIXES and path.is_file() and not path.name.startswith(".")
    ]
    folders = [
        Target(path.name, "folder", path, origin=origin)
        for path in sorted(folder.iterdir())
        if (path / WRAPPER_FILE).is_file() and not path.name.startswith(".")
    ]
    return files + folders


def on_terms(targets: Sequence[Target], terms: Terms) -> list[Target]:
    """`targets` with the names and limits that were given for the one that there is.

    Raises:
        Misconfigured: Some were given and there are several targets.
    """
    if terms == NO_TERMS:
        return list(targets)
    if len(targets) != 1:
        raise Misconfigured(
            "`--name`, `--alias` and `--limit` are for one deployment, and "
            f"{len(targets)} are named here.",
            hint="Name one path, leave the names to the folders, and write limits into the "
            "wrappers.",
        )
    [only] = targets
    name = terms.name or only.name
    return [replace(only, name=name, aliases=terms.aliases, limits=terms.limits)]


def _object_target(file: Path, wanted: str, origin: Origin) -> Target:
    if not file.is_file():
        raise Misconfigured(f"There is no file {str(file)!r}.", hint=_ACCEPTED)
    name = file.stem if wanted == WRAPPER_CLASS else wanted
    return Target(name, "object", file, attribute=wanted, origin=origin)
