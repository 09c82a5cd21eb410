"""What a key is: a text that its owner has, of which the server keeps a hash."""

import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from hayserve.access.budget import NO_BUDGET, Budget
from hayserve.errors import InvalidRequest

# What each key begins with, so that people and secret scanners know it.
MARK = "hs_"
_ID_BYTES, _SECRET_BYTES = 6, 32
_FORM = re.compile(rf"{MARK}([0-9a-f]{{{2 * _ID_BYTES}}})_([\w-]{{43}})", re.ASCII)
# It can be a segment of a path, which neither `.` nor `..` can.
_NAME = re.compile(r"\w[\w.@-]{0,99}")


class Shown(NamedTuple):
    """A key that somebody shows.

    Args:
        id: Its visible part, by which it is found.
        digest: The hash of all of it.
    """

    id: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A key, as the server knows it. Times are in seconds since 1970.

    Args:
        id: Its visible part, which stays when it is rotated; whatever it owns belongs to this id.
        name: What people call it.
        digest: The hash of its text.
        old_digest: That of the text that it had before it was rotated.
        old_until: Until when that is accepted.
        scopes: What it allows.
        budget: How much of it.
        created_at: When it was made.
        created_by: Who made it.
        expires_at: When it ends by itself; None for never.
        revoked_at: When it was revoked; None if it was not.
        last_used_at: When it was last shown, within about ten seconds; None for never.
    """

    id: str
    name: str
    digest: str = field(repr=False)
    scopes: Sequence[str]
    old_digest: str = field(default="", repr=False)
    old_until: float = 0
    budget: Budget = NO_BUDGET
    created_at: float = 0
    created_by: str = ""
    expires_at: float | None = None
    revoked_at: float | None = None
    last_used_at: float | None = None

    def is_opened_by(self, shown: Shown, *, now: float | None = None) -> bool:
        """Whether what is shown is this key, and its time has not passed.

        The time that this takes does not depend on how much of a digest is right.
        """
        now = time.time() if now is None else now
        is_new = hmac.compare_digest(shown.digest, self.digest)
        is_old = hmac.compare_digest(shown.digest, self.old_digest) and now < self.old_until
        return (is_new or is_old) and self.is_alive(now)

    def is_alive(self, now: float) -> bool:
        """Whether it is neither revoked nor expired."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)

    @property
    def prefix(self) -> str:
        """What of it may be shown to anybody."""
        return f"{MARK}{self.id}"


def new_id() -> str:
    """An id that no other key has."""
    return secrets.token_hex(_ID_BYTES)


def new_text(id_: str) -> str:
    """A text for the key of that id: 256 bits that nobody can guess."""
    return f"{MARK}{id_}_{secrets.token_urlsafe(_SECRET_BYTES)}"


def digest_of(text: str) -> str:
    """What is kept of a key's text. It is as random as the hash, which so needs no salt."""
    return hashlib.sha256(text.encode()).hexdigest()


def shown_in(text: str) -> Shown | None:
    """A key that is shown; None if this is no text of a key."""
    found = _FORM.fullmatch(text)
    return None if found is None else Shown(found[1], digest_of(text))


def is_key_name(name: str) -> bool:
    """Whether a key can have that name."""
    return _NAME.fullmatch(name) is not None


def check_key_name(name: str) -> None:
    """Refuse what is no name for a key.

    Raises:
        InvalidRequest: It is not.
    """
    if not is_key_name(name):
        raise InvalidRequest(
            f"{name!r} is no name for a key.",
            hint="Use 1 to 100 letters, digits and `_ . @ -`, a letter or digit first.",
            param="name",
        )
