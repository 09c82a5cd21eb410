"""The commands `hayserve keys`."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeAlias

from rich.console import Console
from rich.table import Table
from rich.text import Text

from hayserve.access.key import check_key_name
from hayserve.cli import show
from hayserve.cli.client import Answer, Client
from hayserve.cli.connect import connect
from hayserve.cli.flags import Where
from hayserve.cli.key_flags import Create, Listing, Revoke, Rotate
from hayserve.cli.key_words import budget_in, duration, scopes_in, seconds_in
from hayserve.cli.stored_keys import StoredKeys, stored_keys
from hayserve.errors import ServerUnreachable
from hayserve.server.database_url import database_url
from hayserve.settings import load
from hayserve.storage.database import Database

Listed: TypeAlias = Mapping[str, Any]

_HOW = (
    "Send it as `Authorization: Bearer KEY` or `X-API-Key: KEY`; "
    "OpenAI's clients take it as `api_key=`."
)


def create(given: Create) -> None:
    """Make a key; stdout has nothing but its text."""
    check_key_name(given.name)
    scopes, budget = scopes_in(given.scopes), budget_in(given.budgets).as_fields()
    seconds = seconds_in(given.expires, option="--expires") if given.expires else None
    made = _do(
        given,
        lambda holder: holder.create_key(
            given.name, scopes=scopes, budget=budget, expires_in=seconds
        ),
    )
    show.text(str(made.get("key", "")))
    show.remark(
        f"Key {given.name} was made. It is shown this once; the server keeps a hash of it.",
        f"It may {_words(scopes)}{_limits(made)}{_end(made)}.",
        _HOW,
    )


def show_all(given: Listing) -> None:
    answer = _do(given, lambda holder: holder.keys())
    listed: list[Listed] = answer.get("keys", [])
    if given.as_json:
        show.as_json(answer)
    elif listed:
        _show(listed)
    else:
        show.text("There is no key. `hayserve keys create NAME --scope run` makes one.")


def rotate(given: Rotate) -> None:
    """Give a key another text; stdout has nothing but that."""
    check_key_name(given.name)
    seconds = seconds_in(given.keep_old, option="--keep-old") if given.keep_old else 0
    made = _do(given, lambda holder: holder.rotate_key(given.name, keep_old=seconds))
    show.text(str(made.get("key", "")))
    old = f"is accepted for another {duration(seconds)}" if seconds else "is not accepted any more"
    show.remark(f"Key {given.name} has a new text, which is shown this once. The old one {old}.")


def revoke(given: Revoke) -> None:
    check_key_name(given.name)
    _do(given, lambda holder: holder.revoke_key(given.name))
    show.success(f"Key {given.name} was revoked. Within a second nobody gets in with it.")


def _do(given: Where, what: Callable[[Client | StoredKeys], Answer]) -> Answer:
    """Have a server do it; where none answers and none was named, do it in its database."""
    try:
        with connect(given) as client:
            return what(client)
    except ServerUnreachable:
        settings = load(url=given.url, key=given.key)
        database = Database(database_url(settings))
        if settings.url or not database.is_shared:
            raise
    with stored_keys(database) as stored:
        answer = what(stored)
    where = f"the database {database.address.shown}"
    show.warning(f"No server answers at {settings.server_url!r}: this was done in {where}.")
    return answer


def _show(listed: Sequence[Listed]) -> None:
    table = Table("Name", "Key", "Scopes", "Budget", "State", "Last used")
    for column in table.columns:
        column.overflow = "fold"
    table.columns[1].no_wrap = True
    for one in listed:
        table.add_row(*_cells(one), style=None if one.get("state") == "in use" else "dim")
    Console().print(table)


def _cells(one: Listed) -> list[Text]:
    budget: Mapping[str, int] = one.get("budget") or {}
    return [
        Text(str(one.get("name", ""))),
        Text(f"{one.get('prefix', '')}…"),
        Text("\n".join(one.get("scopes", []))),
        Text("\n".join(f"{_kind(name)}={number}" for name, number in budget.items())),
        Text(_state(one)),
        Text(_when(one.get("last_used_at")) or "never"),
    ]


def _state(one: Listed) -> str:
    state, until = str(one.get("state", "")), _when(one.get("expires_at"))
    if state == "in use" and until:
        state = f"until {until}"
    old = _when(one.get("old_key_until"))
    return f"{state}\nold text until {old}" if old else state


def _words(scopes: Sequence[str]) -> str:
    return " and ".join(scopes)


def _limits(made: Listed) -> str:
    budget: Mapping[str, int] = made.get("budget") or {}
    limits = ", ".join(f"{number} {_kind(name)}" for name, number in budget.items())
    return f", within {limits}" if limits else ""


def _end(made: Listed) -> str:
    until = _when(made.get("expires_at"))
    return f", until {until}" if until else ""


def _kind(name: str) -> str:
    return name.replace("_", "-")


def _when(at: float | None) -> str:
    """A time of the server in the reader's own zone."""
    return datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M") if at else ""
