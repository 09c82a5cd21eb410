"""Prints what a server lists as tables."""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from hayserve.errors import HayserveError

DIGEST = 12  # signs of a hash that tell revisions apart


def deployments(listed: Iterable[Mapping[str, Any]]) -> None:
    table = Table("№", "Name", "Aliases", "Type", "Revision", "Status")
    table.add_column("Error", overflow="fold")
    for number, one in enumerate(listed, start=1):
        table.add_row(*_deployment(number, one))
    Console().print(table)


def history(revisions: Iterable[Mapping[str, Any]]) -> None:
    """The revisions of a deployment, each with what was given; the one that is served marked."""
    table = Table("Revision", "Active", "When", "By", "From", "Digest", "Parameters, limits")
    for column in table.columns:
        column.overflow = "fold"
    for one in revisions:
        table.add_row(*_revision(one), style="green" if one.get("active") else None)
    Console().print(table)


def _deployment(number: int, one: Mapping[str, Any]) -> list[Text]:
    state = str(one.get("state", ""))
    style = "red" if state == "Failed" else "green"
    return [
        Text(str(number)),
        Text(str(one.get("name", ""))),
        Text(", ".join(one.get("aliases", []))),
        Text(str(one.get("type", ""))),
        Text(str(one.get("revision") or "")),
        Text(state, style=style),
        Text(_reason(one.get("error") or {})),
    ]


def _revision(one: Mapping[str, Any]) -> list[Text]:
    parameters: Mapping[str, Any] = one.get("parameters") or {}
    limits: Mapping[str, Any] = one.get("limits") or {}
    given = [f"{name}={_value(value)}" for name, value in parameters.items()]
    given.extend(f"limit {name}={_value(value)}" for name, value in limits.items())
    return [
        Text(str(one.get("revision", ""))),
        Text("✔" if one.get("active") else ""),
        Text(_local(str(one.get("deployed_at", "")))),
        Text(str(one.get("deployed_by") or "")),
        Text(str(one.get("deployed_from") or "")),
        Text(str(one.get("digest", ""))[:DIGEST]),
        Text("\n".join(given)),
    ]


def _local(time: str) -> str:
    """A time of the server in the reader's own zone."""
    return datetime.fromisoformat(time).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _value(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _reason(error: Mapping[str, Any]) -> str:
    return str(HayserveError(error.get("message") or "", hint=error.get("hint") or ""))
