"""What is typed after -p, -f and -d, as the input that a deployment takes."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import typer

from hayserve.cli.client import Input, Upload
from hayserve.cli.endpoint import Endpoint
from hayserve.cli.flags import Call
from hayserve.errors import Misconfigured

FILES = "files"  # the form field that a wrapper's `files` parameter is filled from
UNSAID = ""  # in place of a field, where a file was typed without one


@dataclass(frozen=True, slots=True)
class Typed:
    """Parameters as text, and files with the field that they were typed for."""

    params: Sequence[tuple[str, str]] = ()
    files: Sequence[Upload] = field(default_factory=tuple[Upload, ...])

    def for_endpoint(self, endpoint: Endpoint | None) -> Input:
        """The input in the form that `endpoint` takes; None stands for one that is not known.

        A parameter that is text gets what was typed. Any other value is JSON where it looks so.

        Raises:
            Misconfigured: There are files, and the endpoint takes none or has no such field.
        """
        if endpoint is None:
            params = {name: value_of(text) for name, text in self.params}
            files = [_into(FILES, file) for file in self.files]
            return Input(params, files, as_form=bool(files))
        params = {
            name: text if endpoint.fields.get(name) == "text" else value_of(text)
            for name, text in self.params
        }
        files = [_into(_field_for(file, endpoint), file) for file in self.files]
        return Input(params, files, as_form=endpoint.is_form)

    def unknown_to(self, endpoint: Endpoint | None) -> Iterator[str]:
        """Say of each parameter that the endpoint ignores what might have been meant."""
        if endpoint is None or endpoint.is_open:
            return
        for name in dict(self.params):
            if name not in endpoint.fields:
                yield (
                    f"{name!r} is no parameter of {endpoint.name!r} and is ignored; "
                    f"{_meant(name, endpoint)}"
                )


def typed_in(given: Call) -> Typed:
    """What a command line gives.

    Raises:
        typer.BadParameter: A parameter is not key=value, or a file does not exist.
    """
    files = [*_named(given.files), *_inside(given.dirs)]
    return Typed([pair_of(text) for text in given.params], files)


def value_of(text: str) -> Any:
    """A value as JSON where it looks like it, else as the text that it is.

    Objects, lists, true, false, null and numbers without a sign look like JSON, as they do to
    `hayhooks pipeline run`.
    """
    enclosed = text[:1] + text[-1:] in {"{}", "[]"}
    number = text.replace(".", "", 1).isdigit()
    if not (enclosed or number or text in {"true", "false", "null"}):
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


def pair_of(text: str) -> tuple[str, str]:
    """The name and the value of a parameter.

    Raises:
        typer.BadParameter: It is not key=value.
    """
    name, sign, value = text.partition("=")
    if not sign or not name:
        raise typer.BadParameter(f"{text!r} is not key=value.", param_hint="--param")
    return name, value


def _named(files: Iterable[str]) -> Iterator[Upload]:
    for given in files:
        field, sign, rest = given.partition("=")
        if not sign or Path(given).is_file():  # a file's own name may contain the sign
            field, rest = UNSAID, given
        path = Path(rest)
        if not path.is_file():
            raise typer.BadParameter(f"File {rest!r} does not exist.", param_hint="--file")
        yield Upload(field, path.name, path)


def _inside(folders: Iterable[Path]) -> Iterator[Upload]:
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            name = path.relative_to(folder)
            if path.is_file() and not any(part.startswith(".") for part in name.parts):
                yield Upload(UNSAID, name.as_posix(), path)


def _into(default: str, file: Upload) -> Upload:
    return replace(file, field=file.field or default)


def _field_for(file: Upload, endpoint: Endpoint) -> str:
    uploads = endpoint.uploads
    if not endpoint.is_form:
        raise Misconfigured(
            f"{endpoint.name!r} takes no files.",
            hint=f"Leave out -f and -d; {_parameters_of(endpoint)}",
        )
    field = file.field or (uploads[0] if len(uploads) == 1 else FILES)
    if field in endpoint.fields or endpoint.is_open:
        return field
    if uploads and not file.field:
        raise Misconfigured(
            f"{endpoint.name!r} takes files in {_list(uploads)}.",
            hint=f"Say which it is: -f {uploads[0]}={file.path}",
        )
    raise Misconfigured(
        f"{endpoint.name!r} has no parameter {field!r} for {file.name!r}.",
        hint=f"It takes files in {_list(uploads)}." if uploads else "It takes no files.",
    )


def _meant(name: str, endpoint: Endpoint) -> str:
    near = get_close_matches(name, endpoint.fields, n=1)
    return f"did you mean {near[0]!r}?" if near else _parameters_of(endpoint)


def _parameters_of(endpoint: Endpoint) -> str:
    return f"it takes {_list(endpoint.fields)}." if endpoint.fields else "it takes no parameters."


def _list(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names))
