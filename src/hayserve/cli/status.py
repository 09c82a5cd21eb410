"""The command `hayserve status`."""

from typing import Any

import typer

from hayserve.cli import show
from hayserve.cli.client import Answer
from hayserve.cli.connect import connect
from hayserve.cli.flags import Status
from hayserve.errors import NotFound


def status(given: Status) -> None:
    """Show what is deployed, or one deployment; one that is not served is a failure."""
    with connect(given) as client:
        answer = client.status()
    if given.name is not None:
        _show_one(given, _named(given.name, answer))
    elif given.as_json:
        show.as_json(answer)
    else:
        show.status(client.url, answer)


def _show_one(given: Status, one: dict[str, Any]) -> None:
    if given.as_json:
        show.as_json(one)
    else:
        show.deployments([one])
    if one.get("state") == "Failed":
        raise typer.Exit(1)


def _named(name: str, answer: Answer) -> dict[str, Any]:
    listed: list[dict[str, Any]] = answer.get("deployments", [])
    found = [one for one in listed if name in {one.get("name"), *one.get("aliases", [])}]
    if not found:
        raise NotFound(
            f"No deployment is named {name!r}.", hint="`hayserve status` lists what is deployed."
        )
    # What is served, and beside it why a newer version of it could not be loaded.
    failed = [one for one in listed if one.get("error") and one.get("name") == found[0].get("name")]
    return {**found[0], "error": failed[-1]["error"]} if failed else found[0]
