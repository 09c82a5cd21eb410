"""What is told of a key, on the wire and by the command line."""

import time
from typing import Literal, TypeAlias

from typing_extensions import TypedDict

from hayserve.access.key import Key

State: TypeAlias = Literal["in use", "expired", "revoked"]


class KeyEntry(TypedDict):
    """A key without its text; times are in seconds since 1970."""

    name: str
    prefix: str
    state: State
    scopes: list[str]
    budget: dict[str, int]
    created_at: int
    created_by: str
    expires_at: int | None
    revoked_at: int | None
    last_used_at: int | None
    old_key_until: int | None


class KeyMade(KeyEntry):
    """A key with its text, which is not told again."""

    key: str


class KeyList(TypedDict):
    """All keys, the oldest first."""

    keys: list[KeyEntry]


def key_entry(key: Key, *, now: float | None = None) -> KeyEntry:
    """What may be told of a key at any time.

    Args:
        key: The key.
        now: Seconds since 1970; by default what the clock says.
    """
    now = time.time() if now is None else now
    has_old = bool(key.old_digest) and now < key.old_until
    return {
        "name": key.name,
        "prefix": key.prefix,
        "state": _state(key, now),
        "scopes": list(key.scopes),
        "budget": key.budget.as_fields(),
        "created_at": int(key.created_at),
        "created_by": key.created_by,
        "expires_at": _whole(key.expires_at),
        "revoked_at": _whole(key.revoked_at),
        "last_used_at": _whole(key.last_used_at),
        "old_key_until": int(key.old_until) if has_old else None,
    }


def key_made(key: Key, text: str) -> KeyMade:
    """What is told of a key once, when it has got its text."""
    return {**key_entry(key), "key": text}


def _state(key: Key, now: float) -> State:
    if key.revoked_at is not None:
        return "revoked"
    return "in use" if key.is_alive(now) else "expired"


def _whole(at: float | None) -> int | None:
    return None if at is None else int(at)
