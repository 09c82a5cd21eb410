"""What commands print: answers on stdout, errors and remarks on stderr."""

import json
import sys
from collections.abc import Iterable
from contextlib import AbstractContextManager

from rich.console import Console
from rich.text import Text

from hayserve.cli.finding import Finding, Part
from hayserve.errors import HayserveError

# The first that a line of a diff begins with is its colour.
COLOURS = (
    ("+++", "bold"),
    ("---", "bold"),
    ("diff ", "bold"),
    ("+", "green"),
    ("-", "red"),
    ("@@", "cyan"),
)
LEVELS = (("danger", "bold red"), ("warning", "bold yellow"), ("note", "cyan"), ("ok", "green"))


def success(message: str, *notes: str) -> None:
    _say(Console(), ("✔ ", "bold green"), message, *notes)


def remark(message: str, *notes: str) -> None:
    """Say on stderr that something went well, where stdout holds an answer."""
    _say(Console(stderr=True), ("✔ ", "bold green"), message, *notes)


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


def diff(text: str) -> None:
    """Print a diff: in colours to a person at a terminal, to a program as it is."""
    console = Console()
    if not console.is_terminal:
        sys.stdout.write(text)
        return
    for line in text.removesuffix("\n").split("\n"):
        style = next((style for start, style in COLOURS if line.startswith(start)), "")
        console.print(Text(line, style), soft_wrap=True)


def findings(told: Iterable[tuple[Part, Finding]]) -> None:
    """Print each with its level, and what to do about it on a line of its own."""
    console, styles = Console(), dict(LEVELS)
    for part, finding in told:
        level = (f"{finding.level:<9}", styles[finding.level])
        console.print(Text.assemble(level, f"{part:<10}{finding.what}"), soft_wrap=True)
        if finding.fix:
            console.print(Text(f"{'':19}→ {finding.fix}"), soft_wrap=True)


def _say(console: Console, mark: tuple[str, str], message: str, *notes: str) -> None:
    console.print(Text.assemble(mark, message), soft_wrap=True)
    for note in notes:
        console.print(Text(f"  {note}"), soft_wrap=True)
