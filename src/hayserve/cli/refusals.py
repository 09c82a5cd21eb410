"""What the server says when it says no, as an error that the terminal can show."""

import json
import re
from typing import Any, cast

import httpx2

from hayserve.errors import ServerRefused, ServerUnreachable

HINTS = (
    (401, "Pass the server's key with --key or in HAYSERVE_KEY."),
    (404, "`hayserve status` lists what is deployed."),
    (409, "Pass --overwrite to replace it."),
    (413, "Leave files out that it does not need, or allow more where it is refused."),
)
_LOG = re.compile(r"\blog\b")
_THIS_ID = "this run's id"
RAW_LENGTH = 300  # characters shown of an error that is not in our form


def refusal_of(response: httpx2.Response) -> ServerRefused:
    """The error that an answer with an error status stands for.

    The server's own hint goes first; where it has none, one that fits the status is given.
    """
    fallback = dict(HINTS).get(response.status_code, "")
    status = f"{response.status_code} {response.reason_phrase}".strip()
    return _refusal(
        response.text,
        fallback=fallback,
        unless=f"The server answered {status}.",
        logged=response.is_server_error,
    )


def refusal_in(data: str) -> ServerRefused:
    """The error that arrived in the middle of a stream."""
    return _refusal(data, fallback="", unless="The run failed.", logged=True)


def broken_off(message: str) -> ServerRefused:
    return ServerRefused(
        f"{message}.", hint="The server's log says more; it may have been stopped or restarted."
    )


def other_program(url: str) -> ServerRefused:
    """The error of a URL where something else than a server of ours listens."""
    return ServerRefused(
        f"What answers at {url!r} does not speak this API.",
        hint="Is it another program's port, or is a root path missing in the URL?",
    )


def no_answer(url: str) -> ServerUnreachable:
    """The error of a connection that was made and over which no HTTP came."""
    return ServerUnreachable(
        f"{url!r} closed the connection and gave no HTTP answer.",
        hint="If it is hayserve, it was stopped, or the process that ran this has died: its log "
        "says more. Else it is another program's port.",
    )


def object_in(text: str) -> dict[str, Any] | None:
    """The JSON object that `text` is, None if it is something else."""
    try:
        found: object = json.loads(text)
    except ValueError:
        return None
    return cast(dict[str, Any], found) if isinstance(found, dict) else None


def _refusal(text: str, *, fallback: str, unless: str, logged: bool) -> ServerRefused:
    said = object_in(text) or {}
    nested = said.get("error")
    if isinstance(nested, dict):
        said = {**said, **cast(dict[str, Any], nested)}
    message = _message(said.get("detail")) or _message(said.get("message"))
    message = message or text.strip()[:RAW_LENGTH] or unless
    hint = str(said.get("hint") or fallback)
    if run_id := said.get("run_id"):
        message, hint = (text.replace(_THIS_ID, f"run {run_id}") for text in (message, hint))
        if logged and str(run_id) not in message + hint:
            hint = f"{hint} {_where_to_look(run_id, said=f'{message} {hint}')}".lstrip()
    return ServerRefused(message, hint=hint)


def _where_to_look(run_id: object, *, said: str) -> str:
    if _LOG.search(said):
        return f"The run's id is {run_id}."
    return f"The server's log has more under run {run_id}."


def _message(detail: object) -> str:
    if isinstance(detail, list):
        return "; ".join(_problem(item) for item in cast(list[object], detail))
    if isinstance(detail, str):
        return detail
    return json.dumps(detail) if detail else ""


def _problem(item: object) -> str:
    if not isinstance(item, dict):
        return str(item)
    problem = cast(dict[str, Any], item)
    where = ".".join(str(part) for part in problem.get("loc", ()))
    return f"{where}: {problem.get('msg', '')}" if where else str(problem.get("msg", problem))
