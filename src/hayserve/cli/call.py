"""The commands that run a deployment."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import typer

from hayserve.cli import show
from hayserve.cli.client import Answer, Upload, as_text
from hayserve.cli.connect import connect
from hayserve.cli.flags import Call, CallOrChat

FILES = "files"  # the form field that a wrapper's `files` parameter is filled from


def call(given: Call) -> None:
    """Run a deployment with parameters and files, print its answer."""
    params = params_in(given.params)
    uploads = [*_named(given.files), *_inside(given.dirs)]
    with connect(given) as client:
        if given.stream and not given.as_json:
            show.pieces(client.stream(given.name, params, uploads))
        else:
            with show.waiting(f"Running {given.name} ..."):
                answer = client.run(given.name, params, uploads)
            _print(answer, as_json=given.as_json)
    if not given.as_json:
        show.remark(f"Pipeline {given.name} executed successfully!")


def chat(given: CallOrChat, text: str) -> None:
    """Say something to a deployment, print its answer."""
    if given.params or given.files or given.dirs:
        raise typer.BadParameter("It goes without parameters and files.", param_hint="--chat")
    with connect(given) as client:
        if given.as_json:
            show.as_json(client.complete(given.name, text))
        else:
            show.pieces(client.chat(given.name, text))


def _print(answer: Answer, *, as_json: bool) -> None:
    if as_json:
        show.as_json(answer)
    else:
        show.text(as_text(answer.get("result", answer)))


def params_in(pairs: Iterable[str]) -> dict[str, Any]:
    """`key=value` pairs as parameters."""
    params: dict[str, Any] = {}
    for pair in pairs:
        name, sign, value = pair.partition("=")
        if not sign or not name:
            raise typer.BadParameter(f"{pair!r} is not key=value.", param_hint="--param")
        params[name] = value_of(value)
    return params


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


def _named(files: Iterable[str]) -> Iterator[Upload]:
    for given in files:
        field, sign, rest = given.partition("=")
        if not sign or Path(given).is_file():  # a file's own name may contain the sign
            field, rest = FILES, given
        path = Path(rest)
        if not path.is_file():
            raise typer.BadParameter(f"File {rest!r} does not exist.", param_hint="--file")
        yield Upload(field, path.name, path)


def _inside(folders: Iterable[Path]) -> Iterator[Upload]:
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            name = path.relative_to(folder)
            if path.is_file() and not any(part.startswith(".") for part in name.parts):
                yield Upload(FILES, name.as_posix(), path)
