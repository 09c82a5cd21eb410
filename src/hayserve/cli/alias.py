"""The command `hayserve alias`."""

from hayserve.cli import show
from hayserve.cli.client import Client
from hayserve.cli.confirm import confirm, where
from hayserve.cli.connect import connect
from hayserve.cli.flags import Alias
from hayserve.cli.status import named


def alias(given: Alias) -> None:
    """Give a deployment aliases and take some away; list them if neither is asked for."""
    with connect(given) as client:
        if given.add or given.remove:
            _change(given, client)
        else:
            _list(given, client)


def _change(given: Alias, client: Client) -> None:
    with show.waiting(f"Changing the aliases of {given.name} ..."):
        answer = client.alias(given.name, add=given.add, remove=given.remove)
    listed = ", ".join(answer.get("aliases", []))
    now = f"is also served as {listed}" if listed else "has no aliases any more"
    confirm(given, answer, done=f"Pipeline {given.name} {now}!{where(answer)}")


def _list(given: Alias, client: Client) -> None:
    found = named(given.name, client.status())
    aliases: list[str] = found.get("aliases", [])
    if given.as_json:
        show.as_json({"name": found.get("name"), "aliases": aliases})
    elif aliases:
        show.text("\n".join(aliases))
    else:
        show.remark(f"Pipeline {given.name} has no aliases.")
