"""Asks a server that runs what it lets strangers do."""

import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import httpx2

from hayserve.cli.connect import Place
from hayserve.cli.finding import Finding
from hayserve.cli.refusals import object_in
from hayserve.protocols.admin.key_objects import KeyEntry

_SECONDS: Final = 5
_OK: Final = 200
# Nobody has these: names under `.invalid` never lead anywhere.
# Source: https://www.rfc-editor.org/rfc/rfc6761#section-6.4
_NAME: Final = "another-name.invalid"
_PAGE: Final = "https://a-page.invalid"
# The way there begins at this machine's address; no packet is sent.
# Source: https://www.rfc-editor.org/rfc/rfc5737#section-3
_FAR: Final = ("192.0.2.1", 9)


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What a server let us do; each status is 0 where nothing answered.

    Args:
        with_key: Looking at the keys with the key of the command line.
        as_nobody: Looking at the models without any key.
        keys_as_nobody: Looking at the keys without any key.
        under_another_name: Looking at the models without a key, sent to a name that it has not.
        as_a_page: The same as a page of another origin.
        outside: The address of this machine under which others reach the server; empty if none
            was found.
        from_outside: Looking at the models without a key there.
        keys: The keys, if the command line may see them.
    """

    with_key: int = 0
    as_nobody: int = 0
    keys_as_nobody: int = 0
    under_another_name: int = 0
    as_a_page: int = 0
    outside: str = ""
    from_outside: int = 0
    keys: list[KeyEntry] | None = None


def own_address(far: tuple[str, int] = _FAR) -> str | None:
    """The address of this machine in the network, where the way to elsewhere begins."""
    try:
        with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as way:
            way.connect(far)
            address: str = way.getsockname()[0]
    except OSError:
        return None
    return address


def ask(
    place: Place, *, verify: bool, find_address: Callable[[], str | None] = own_address
) -> Heard | None:
    """Ask the server at a place; None if no server of ours answers there.

    Args:
        place: Where it is.
        verify: Whether the certificate of an `https` server is checked.
        find_address: Finds the address under which others may reach this machine.
    """
    own = {"Authorization": f"Bearer {place.key}"} if place.key else {}
    with httpx2.Client(verify=verify, trust_env=not place.is_here, timeout=_SECONDS) as http:
        if not _is_ours(http, place.url):
            return None
        models, keys = f"{place.url}/v1/models", f"{place.url}/keys"
        with_key, listed = _get(http, keys, own) if own else (0, None)
        address = find_address() if place.is_here else None
        outside = _outside(http, place, address) if address else ""
        return Heard(
            with_key=with_key,
            as_nobody=_status(http, models),
            keys_as_nobody=_status(http, keys),
            under_another_name=_status(http, models, {"Host": _NAME}),
            as_a_page=_status(http, models, {"Origin": _PAGE}),
            outside=outside,
            from_outside=_status(http, f"{outside}/v1/models") if outside else 0,
            keys=None if listed is None else listed.get("keys"),
        )


def has_other_settings(heard: Heard, *, is_open: bool, is_local: bool) -> bool:
    """Whether a server was started with other settings than those that are at hand.

    Args:
        heard: What it let us do.
        is_open: Whether they let callers on its machine run without a key.
        is_local: Whether they let nobody else reach it.
    """
    runs_for_nobody = heard.as_nobody == _OK and heard.keys_as_nobody != _OK
    return runs_for_nobody != is_open or (is_local and bool(heard.outside))


def of_answers(heard: Heard | None, place: Place) -> Iterator[Finding]:
    """What the server that runs leaves open.

    Args:
        heard: What it let us do; None if none answers.
        place: Where it is.
    """
    if heard is None:
        yield Finding("note", f"No server answers at {place.url}.", fix="hayserve run")
        return
    yield Finding("ok", f"A server answers at {place.url}.")
    if heard.keys_as_nobody == _OK:
        yield Finding(
            "danger",
            f"The server at {place.url} lets everybody do everything: it lists its keys to whoever "
            "asks.",
            fix="Start it without `--insecure` and HAYSERVE_INSECURE.",
        )
    else:
        yield from _of_nobody(heard, place)
    if heard.outside:
        yield _of_outside(heard)
    if place.key and heard.with_key != _OK:
        yield Finding(
            "warning",
            "The server does not take the key of the command line for one that may see its keys; "
            "these were looked for in the database of the settings.",
            fix="HAYSERVE_KEY, with a key that has the scope `admin`",
        )


def _of_nobody(heard: Heard, place: Place) -> Iterator[Finding]:
    """What one without a key gets from a server that has a gate."""
    if heard.as_nobody != _OK:
        yield Finding("ok", f"The server at {place.url} shows nothing to whoever has no key.")
    elif not place.is_here:
        yield Finding(
            "danger",
            f"Whoever reaches {place.url} may run what is deployed there, without a key.",
            fix="HAYSERVE_REQUIRE_KEY=1, where it is started",
        )
    if heard.under_another_name == _OK and place.is_here:
        yield Finding(
            "danger",
            f"The server answers those without a key under any name, such as {_NAME}: a page whose "
            "name leads to this machine may run what is deployed.",
            fix="HAYSERVE_REQUIRE_KEY=1",
        )
    if heard.as_a_page == _OK:
        yield Finding(
            "danger",
            "The server answers pages of any origin without a key: each that is open in a browser "
            "on this machine may run what is deployed.",
            fix="unset HAYSERVE_CORS_ALLOW_ORIGINS and HAYSERVE_CORS_ALLOW_ORIGIN_REGEX",
        )


def _of_outside(heard: Heard) -> Finding:
    if heard.from_outside == _OK:
        return Finding(
            "danger",
            f"Others reach the server at {heard.outside}, and may run what is deployed without a "
            "key.",
            fix="HAYSERVE_HOST=localhost",
        )
    return Finding(
        "note",
        f"Others reach the server at {heard.outside}, where it asks for a key, without TLS.",
        fix="HAYSERVE_HOST=localhost and a proxy with TLS before it (docs/security.md)",
    )


def _is_ours(http: httpx2.Client, url: str) -> bool:
    status, said = _get(http, f"{url}/healthz", {})
    return status == _OK and said == {"status": "ok"}


def _outside(http: httpx2.Client, place: Place, address: str) -> str:
    """Where others reach a server on this machine; empty if they do not."""
    url = urlsplit(place.url)._replace(netloc=f"{address}:{place.port}").geturl()
    return url if _is_ours(http, url) else ""


def _status(http: httpx2.Client, url: str, headers: Mapping[str, str] | None = None) -> int:
    return _get(http, url, headers or {})[0]


def _get(
    http: httpx2.Client, url: str, headers: Mapping[str, str]
) -> tuple[int, dict[str, Any] | None]:
    try:
        answer = http.get(url, headers=headers)
    except httpx2.HTTPError:
        return 0, None
    return answer.status_code, object_in(answer.text)
