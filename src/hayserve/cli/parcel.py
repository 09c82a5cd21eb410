"""Makes what is sent to the server of what lies at a path."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from shlex import quote
from typing import BinaryIO

import typer

from hayserve.cli import folder, show
from hayserve.cli.folder import Folder
from hayserve.cli.names import check
from hayserve.deployments.archive import pack
from hayserve.deployments.bundle import WRAPPER_FILE
from hayserve.errors import InvalidRequest
from hayserve.settings import load

YAML = (".yml", ".yaml")
BYTES_PER_MB = 1024 * 1024
ARCHIVES = (".tar.gz", ".tgz", ".tar", ".zip")


def check_can_be_deployed(path: Path) -> None:
    """Refuse what no server could serve.

    Raises:
        typer.BadParameter: It is no folder, archive or YAML file.
    """
    if path.is_dir() or (path.is_file() and path.name.endswith((*YAML, *ARCHIVES))):
        return
    raise typer.BadParameter(_why_not(path), param_hint="PATH")


def is_yaml(path: Path) -> bool:
    return path.is_file() and path.suffix in YAML


def name_for(path: Path, *, given: str | None) -> str:
    """The name to deploy under: `given`, or what the path is called.

    Raises:
        typer.BadParameter: A deployment cannot be called so.
    """
    name = _called(path) if given is None else given
    check(name, param_hint="--name")
    return name


def files_of(path: Path) -> Folder:
    """What of a wrapper's folder is sent; what is not is told.

    Raises:
        typer.BadParameter: Nothing is.
        TooLarge: It is more than the settings allow.
        InvalidRequest: Something in it cannot be read.
    """
    settings = load()
    content = folder.read(
        path,
        ignore=settings.files_to_ignore_patterns,
        most_bytes=settings.max_bundle_mb * BYTES_PER_MB,
        most_files=settings.max_bundle_files,
    )
    for remark in content.left_out:
        show.warning(remark)
    if not content.contents:
        raise typer.BadParameter(f"{str(path)!r} has no files to serve.", param_hint="PATH")
    return content


def yaml_of(path: Path) -> str:
    """The text of a file.

    Raises:
        InvalidRequest: It cannot be read, or is no text.
    """
    with _opened(path) as file:
        content = file.read()
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidRequest(
            f"{str(path)!r} is not a text in UTF-8.", hint="Save it as one."
        ) from error


@contextmanager
def archive_of(path: Path) -> Generator[bytes | BinaryIO]:
    """A folder packed; an archive as it is, to be read while it is sent.

    Raises:
        InvalidRequest: It cannot be read.
    """
    if path.is_dir():
        yield pack(files_of(path).contents)
        return
    with _opened(path) as file:
        yield file


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise InvalidRequest(
            f"{str(path)!r} cannot be read ({error.strerror}).", hint="Make it readable."
        ) from error


def _called(path: Path) -> str:
    if path.is_dir():
        return path.resolve().name
    ending = next((known for known in ARCHIVES if path.name.endswith(known)), path.suffix)
    return path.name.removesuffix(ending)


def _why_not(path: Path) -> str:
    if path.name == WRAPPER_FILE:
        return f"A wrapper is deployed by its folder: hayserve deploy {quote(str(path.parent))}"
    if path.suffix == ".py" or ".py:" in path.name:
        return (
            "An object in a Python file is served by `hayserve run file.py:object`; "
            "a deploy takes a folder, an archive of one or a YAML file."
        )
    if not path.exists():
        return f"{str(path)!r} does not exist."
    return "It is neither a folder nor an archive of one (.tar.gz, .zip) nor a YAML file."
