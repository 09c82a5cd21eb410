"""The command `hayserve cancel`."""

import re
from collections.abc import Sequence

import typer

from hayserve.cli import show
from hayserve.cli.client import Answer, Client
from hayserve.cli.connect import connect
from hayserve.cli.flags import Cancel
from hayserve.errors import NotFound, ServerRefused

_WHOLE = re.compile(r"[0-9a-f]{24}")


def cancel(given: Cancel) -> None:
    """Stop runs; one that cannot be stopped does not keep the others, and is a failure."""
    answers: list[Answer] = []
    with connect(given) as client:
        ids = _ids(given.ids, client)
        for run_id in ids:
            try:
                answers.append(client.cancel(run_id))
            except ServerRefused as refusal:
                show.failure(refusal)
            else:
                if not given.as_json:
                    show.success(f"Run {run_id} was told to stop.")
    if given.as_json:
        show.as_json({"runs": answers})
    if len(answers) < len(ids):
        raise typer.Exit(1)


def _ids(typed: Sequence[str], client: Client) -> Sequence[str]:
    """The whole ids of what was typed, each once; the server is asked where it is only a part.

    Raises:
        NotFound: No run begins so, or more than one.
    """
    if all(map(_WHOLE.fullmatch, typed)):
        return list(dict.fromkeys(typed))
    alive = [str(run.get("id", "")) for run in client.runs().get("runs", [])]
    return list(dict.fromkeys(_id(one, alive) for one in typed))


def _id(typed: str, alive: Sequence[str]) -> str:
    if _WHOLE.fullmatch(typed):
        return typed
    found = [one for one in alive if one.startswith(typed)]
    if len(found) == 1:
        return found[0]
    what = "More than one run" if found else "No run that is alive"
    raise NotFound(
        f"{what} has an id that begins with {typed!r}.", hint="`hayserve runs` lists them."
    )
