"""The commands that show the past of a deployment and bring it back."""

from hayserve.cli import show, tables
from hayserve.cli.confirm import confirm, deployed
from hayserve.cli.connect import connect
from hayserve.cli.flags import Diff, History, Rollback


def rollback(given: Rollback) -> None:
    with connect(given) as client, show.waiting(f"Rolling {given.name} back ..."):
        answer = client.rollback(given.name, to=given.to)
    confirm(given, answer, done=deployed(answer, name=given.name, done="rolled back"))


def history(given: History) -> None:
    with connect(given) as client:
        answer = client.history(given.name)
    if given.as_json:
        show.as_json(answer)
    else:
        tables.history(answer.get("revisions", []))


def diff(given: Diff) -> None:
    """Print what `patch` reads; that nothing differs is said on stderr."""
    with connect(given) as client:
        text = client.diff(given.name, old=given.old, new=given.new)
    if text:
        show.diff(text)
    else:
        show.remark(f"Revisions {given.old} and {given.new} of {given.name} do not differ.")
