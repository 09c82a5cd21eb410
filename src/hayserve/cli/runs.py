"""The command `hayserve runs`."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from hayserve.cli import show
from hayserve.cli.connect import connect
from hayserve.cli.flags import Runs

SHORTEST_ID = 8
_MINUTE = 60
_HOUR = 60 * _MINUTE
_WITH_TENTHS = 10

Listed = Mapping[str, Any]


def runs(given: Runs) -> None:
    """Show what runs; say on stderr which workers did not answer."""
    with connect(given) as client:
        answer = client.runs(deployment=given.deployment)
    listed: list[Listed] = answer.get("runs", [])
    if given.as_json:
        show.as_json(answer)
    elif listed:
        _show(listed)
    else:
        show.text(f"Nothing runs{_of(given.deployment)}.")
    for worker in answer.get("silent_workers", []):
        show.warning(f"Its runs are not known: {worker} did not answer.")


def short_ids(ids: Sequence[str]) -> dict[str, str]:
    """For each id what it begins with and no other does, all of one length."""
    length = SHORTEST_ID
    longest = max(map(len, ids), default=0)
    while length < longest and len({one[:length] for one in ids}) < len(set(ids)):
        length += 1
    return {one: one[:length] for one in ids}


def duration(seconds: float) -> str:
    """`3.2s`, `45s`, `2m05s`, `1h20m`."""
    if seconds < _WITH_TENTHS:
        return f"{seconds:.1f}s"
    whole = int(seconds)
    if whole < _MINUTE:
        return f"{whole}s"
    if whole < _HOUR:
        return f"{whole // _MINUTE}m{whole % _MINUTE:02}s"
    return f"{whole // _HOUR}h{whole % _HOUR // _MINUTE:02}m"


def _of(deployment: str | None) -> str:
    return "" if deployment is None else f" of {deployment!r}"


def _show(listed: Sequence[Listed]) -> None:
    ids = short_ids([str(one.get("id", "")) for one in listed])
    workers = {str(one.get("worker", "")) for one in listed}
    table = Table("Run", "Name", "Stage", "Age", "Left", "Caller")
    if len(workers) > 1:
        table.add_column("Worker")
    for column in table.columns[1:]:
        column.overflow = "fold"
    table.columns[0].no_wrap = True
    for one in listed:
        row = [Text(ids[str(one.get("id", ""))]), *_cells(one)]
        worker = str(one.get("worker", "")).removeprefix("process ")
        table.add_row(*row, *([Text(worker)] if len(workers) > 1 else []))
    Console().print(table)


def _cells(one: Listed) -> list[Text]:
    revision = one.get("revision")
    deployment = str(one.get("deployment", "")) + (f" ({revision})" if revision else "")
    stage, style = str(one.get("stage", "")), ""
    if one.get("cancelled"):
        # It was told to stop, and nobody waits for it; what it does it still does.
        stage, style = f"{stage}, cancelled", "yellow"
    return [
        Text(deployment),
        Text(stage, style),
        Text(duration(float(one.get("age_seconds", 0)))),
        _left(one.get("deadline_in_seconds")),
        Text(str(one.get("caller", ""))),
    ]


def _left(seconds: float | None) -> Text:
    if seconds is None:
        return Text("")
    return Text(duration(seconds)) if seconds > 0 else Text("over", "yellow")
