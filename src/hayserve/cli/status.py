"""The command `hayserve status`."""

from collections.abc import Mapping
from typing import Any

import typer

from hayserve.cli import show, tables
from hayserve.cli.client import Answer
from hayserve.cli.confirm import workers
from hayserve.cli.connect import connect
from hayserve.cli.flags import Status
from hayserve.errors import NotFound


def status(given: Status) -> None:
    """Show what is deployed, or one deployment; one that is not served is a failure."""
    with connect(given) as client:
        answer = client.status()
    if given.name is not None:
        _show_one(given, named(given.name, answer))
    elif given.as_json:
        show.as_json(answer)
    else:
        _show_all(client.url, answer)


def _show_one(given: Status, one: dict[str, Any]) -> None:
    if given.as_json:
        show.as_json(one)
    else:
        tables.deployments([one])
        _show_blocked(one)
    if one.get("state") == "Failed":
        raise typer.Exit(1)


def _show_all(url: str, answer: Answer) -> None:
    show.success(f"hayserve is up and running at: {url}")
    listed: list[dict[str, Any]] = answer.get("deployments", [])
    if listed:
        tables.deployments(listed)
        for one in listed:
            _show_blocked(one)
    else:
        show.text("No pipelines currently deployed")
    if serving := answer.get("workers"):
        _show_workers(serving)


def _show_blocked(one: Mapping[str, Any]) -> None:
    blocked: Mapping[str, Any] = one.get("blocked") or {}
    count = blocked.get("count", 0)
    if not count:
        return
    times = "once" if count == 1 else f"{count} times"
    where = " It runs on one of its own." if one.get("own_loop") else ""
    show.text(
        f"{one.get('name')!r} held an event loop up {times}, for up to "
        f"{blocked.get('longest_seconds', 0):g} s.{where} The log shows where."
    )


def _show_workers(serving: list[Mapping[str, Any]]) -> None:
    show.text(f"Served by {workers(len(serving))}.")
    for worker in serving:
        _show_failures(worker)


def _show_failures(worker: Mapping[str, Any]) -> None:
    process = f"Process {worker.get('pid')} on {worker.get('node')}"
    for name, reason in worker.get("failed", {}).items():
        show.text(f"{process} cannot serve {name!r}: {reason}")


def named(name: str, answer: Answer) -> dict[str, Any]:
    """The entry in the server's status of what has this name or alias.

    Raises:
        NotFound: There is none.
    """
    listed: list[dict[str, Any]] = answer.get("deployments", [])
    found = [one for one in listed if name in {one.get("name"), *one.get("aliases", [])}]
    if not found:
        raise NotFound(
            f"No deployment is named {name!r}.", hint="`hayserve status` lists what is deployed."
        )
    # What is served, and beside it why a newer version of it could not be loaded.
    failed = [one for one in listed if one.get("error") and one.get("name") == found[0].get("name")]
    return {**found[0], "error": failed[-1]["error"]} if failed else found[0]
