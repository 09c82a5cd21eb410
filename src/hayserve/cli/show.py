"""What commands print: answers on stdout, errors and remarks on stderr."""

import json
import sys
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from hayserve.errors import HayserveError


def success(message: str, *notes: str) -> None:
    _say(Console(), ("✔ ", "bold green"), message, *notes)


def remark(message: str) -> None:
    """Say on stderr that something went well, where stdout holds an answer."""
    _say(Console(stderr=True), ("✔ ", "bold green"), message)


def warning(message: str) -> None:
    """Say on stderr what the reader should know although the command goes on."""
    _say(Console(stderr=True), ("! ", "bold yellow"), message)


def failure(error: HayserveError) -> None:
    hint = [error.hint] if error.hint else []
    _say(Console(stderr=True), ("✘ Error: ", "bold red"), error.message, *hint)


def waiting(message: str) -> AbstractContextManager[object]:
    """Turn a spinner while a command waits; only a person at a terminal sees it."""
    return Console(stderr=True).status(Text(message))


def as_json(answer: object) -> None:
    print(json.dumps(answer, ensure_ascii=False, indent=2))


def text(result: str) -> None:
    print(result)


def pieces(of: Iterable[str]) -> None:
    """Print an answer as it comes; a line that was begun is ended also when it breaks off."""
    begun = False
    try:
        for piece in of:
            begun = begun or bool(piece)
            sys.stdout.write(piece)
            sys.stdout.flush()
    finally:
        if begun:
            print()


def status(url: str, answer: Mapping[str, Any]) -> None:
    success(f"hayserve is up and running at: {url}")
    listed: list[dict[str, Any]] = answer.get("deployments", [])
    if listed:
        deployments(listed)
    else:
        print("No pipelines currently deployed")


def deployments(listed: Iterable[Mapping[str, Any]]) -> None:
    table = Table("№", "Name", "Aliases", "Type", "Status")
    table.add_column("Error", overflow="fold")
    for number, one in enumerate(listed, start=1):
        table.add_row(*_row(number, one))
    Console().print(table)


def _row(number: int, one: Mapping[str, Any]) -> list[Text]:
    state = str(one.get("state", ""))
    style = "red" if state == "Failed" else "green"
    return [
        Text(str(number)),
        Text(str(one.get("name", ""))),
        Text(", ".join(one.get("aliases", []))),
        Text(str(one.get("type", ""))),
        Text(state, style=style),
        Text(_reason(one.get("error") or {})),
    ]


def _reason(error: Mapping[str, Any]) -> str:
    return str(HayserveError(error.get("message") or "", hint=error.get("hint") or ""))


def _say(console: Console, mark: tuple[str, str], message: str, *notes: str) -> None:
    console.print(Text.assemble(mark, message), soft_wrap=True)
    for note in notes:
        console.print(Text(f"  {note}"), soft_wrap=True)
