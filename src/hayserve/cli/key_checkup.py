"""What the keys of a server leave open, and to whom."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from hayserve.access.scopes import Scopes
from hayserve.cli.finding import Finding
from hayserve.protocols.admin.key_objects import KeyEntry

_DAY: Final = 86_400
UNUSED_DAYS, ENDING_DAYS, OLD_TEXT_DAYS = 90, 14, 7


def of_keys(keys: Sequence[KeyEntry], *, now: float, needs_one: bool) -> Iterator[Finding]:
    """What keys there are, who has too much and which nobody needs.

    Args:
        keys: All that a server knows.
        now: Seconds since 1970.
        needs_one: Whether a server with these settings starts only if there is one.
    """
    alive = [key for key in keys if key["state"] == "in use"]
    yield _count(alive, needs_one=needs_one)
    yield from _powers(alive)
    yield from _times(alive, now)
    if expired := [key for key in keys if key["state"] == "expired"]:
        yield Finding("ok", f"Expired, and of no use to anybody: {_names(expired)}.")


def _count(alive: Sequence[KeyEntry], *, needs_one: bool) -> Finding:
    if alive:
        return Finding("ok", f"Keys that are in use: {_names(alive)}.")
    if needs_one:
        return Finding(
            "warning",
            "Nobody has a key, and without one no server starts where others reach it.",
            fix="hayserve keys create NAME --scope run",
        )
    return Finding("ok", "There are no keys, but for the local one of the command line.")


def _powers(alive: Sequence[KeyEntry]) -> Iterator[Finding]:
    strong = [key for key in alive if Scopes(key["scopes"]).may_deploy]
    if admins := [key for key in strong if Scopes(key["scopes"]).is_admin]:
        yield Finding(
            "note",
            f"Whoever has one of these may do everything, make keys, too: {_names(admins)}.",
            fix="hayserve keys create NAME --scope deploy, and revoke what is not needed",
        )
    endless = [key for key in alive if key["expires_at"] is None]
    if risky := [key for key in endless if key in strong]:
        yield Finding(
            "warning",
            f"These allow to run code on the server, and never end: {_names(risky)}.",
            fix="hayserve keys create NAME --scope deploy --expires 90d",
        )
    if others := [key for key in endless if key not in strong]:
        yield Finding(
            "note",
            f"These allow to run, and never end: {_names(others)}.",
            fix="hayserve keys create NAME --scope run --expires 90d",
        )


def _times(alive: Sequence[KeyEntry], now: float) -> Iterator[Finding]:
    for key in alive:
        if _last_seen(key) < now - UNUSED_DAYS * _DAY:
            yield Finding(
                "warning",
                f"Nobody has used {key['name']!r} for more than {UNUSED_DAYS} days.",
                fix=f"hayserve keys revoke {key['name']}",
            )
        end = key["expires_at"]
        if end is not None and end < now + ENDING_DAYS * _DAY:
            yield Finding(
                "warning",
                f"{key['name']!r} ends in {_days(end - now)}; whoever uses it is shut out then.",
                fix=_next(key),
            )
        old = key["old_key_until"]
        if old is not None and old > now + OLD_TEXT_DAYS * _DAY:
            yield Finding(
                "warning",
                f"{key['name']!r} has an old text, which is accepted for {_days(old - now)} more.",
                fix=f"hayserve keys rotate {key['name']}, which ends both texts",
            )


def _last_seen(key: KeyEntry) -> float:
    return max(key["created_at"], key["last_used_at"] or 0)


def _next(key: KeyEntry) -> str:
    scopes = " ".join(f"--scope {scope}" for scope in key["scopes"])
    return f"hayserve keys create NEXT_NAME {scopes} --expires 90d"


def _days(seconds: float) -> str:
    days = int(seconds // _DAY)
    if not days:
        return "less than a day"
    return "1 day" if days == 1 else f"{days} days"


def _names(keys: Iterable[KeyEntry]) -> str:
    return ", ".join(f"{key['name']} ({' '.join(key['scopes'])})" for key in keys)
