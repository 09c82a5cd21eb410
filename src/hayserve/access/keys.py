"""Keeps keys in the database: makes them, rotates them, revokes them."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Row, bindparam, func, insert, or_, select, update

from hayserve.access.budget import NO_BUDGET, Budget
from hayserve.access.key import Key, check_key_name, digest_of, is_key_name, new_id, new_text
from hayserve.access.scopes import MOST_SCOPES, Scopes
from hayserve.errors import InvalidRequest, NameTaken, NotFound
from hayserve.storage.database import Database
from hayserve.storage.tables import keys

_LONGEST = 100 * 365 * 86400


class Keys:
    """The keys of all servers that share a database. The methods block; call them in threads.

    Args:
        database: Where they are kept.
        clock: Seconds since 1970.

    Raises:
        StorageUnavailable: From each method, if the database does not answer.
    """

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock

    def create(
        self,
        name: str,
        *,
        scopes: Sequence[str],
        budget: Budget = NO_BUDGET,
        expires_in: float | None = None,
        by: str = "",
    ) -> tuple[Key, str]:
        """Make a key.

        Args:
            name: What people call it.
            scopes: What it allows.
            budget: How much of it.
            expires_in: After how many seconds it ends by itself; None for never.
            by: Who makes it.

        Returns:
            The key and its text, which is kept nowhere.

        Raises:
            InvalidRequest: The name, the scopes or the time cannot be used.
            NameTaken: A key of that name is in use.
        """
        check_key_name(name)
        words = _checked(scopes)
        if expires_in is not None:
            _check_seconds(expires_in, param="expires_in")
        id_, now = new_id(), self._clock()
        text = new_text(id_)
        key = Key(
            id=id_,
            name=name,
            digest=digest_of(text),
            scopes=words,
            budget=budget,
            created_at=now,
            created_by=by,
            expires_at=None if expires_in is None else now + expires_in,
        )
        with self._database.writing() as connection:
            if (other := _alive(connection, name, now)) is not None:
                raise NameTaken(
                    f"A key named {name!r} is in use: {other.prefix}.",
                    hint="Choose another name, or rotate or revoke that one.",
                    param="name",
                )
            connection.execute(insert(keys).values(**_row(key), version=_version(connection)))
        return key, text

    def rotate(self, name: str, *, keep_old: float = 0) -> tuple[Key, str]:
        """Give a key another text; what it owns and what it may do stay as they are.

        Args:
            name: Its name.
            keep_old: For how many seconds the old text is accepted as well.

        Returns:
            The key and its new text, which is kept nowhere.

        Raises:
            InvalidRequest: The time cannot be used.
            NotFound: No key of that name is in use.
        """
        if keep_old:
            _check_seconds(keep_old, param="keep_old")
        now = self._clock()
        with self._database.writing() as connection:
            key = _found(connection, name, now)
            text = new_text(key.id)
            old = key.digest if keep_old else ""
            key = replace(key, digest=digest_of(text), old_digest=old, old_until=now + keep_old)
            _write(connection, key)
        return key, text

    def revoke(self, name: str) -> Key:
        """End a key, on all workers within a second.

        Raises:
            NotFound: No key of that name is in use.
        """
        now = self._clock()
        with self._database.writing() as connection:
            key = replace(_found(connection, name, now), revoked_at=now)
            _write(connection, key)
        return key

    def any_in_use(self) -> bool:
        """Whether somebody can call with a key."""
        now = self._clock()
        return any(key.is_alive(now) for key in self.all())

    def all(self) -> list[Key]:
        """All keys, also those that are not in use any more, the oldest first."""
        with self._database.reading() as connection:
            rows = connection.execute(select(keys).order_by(keys.c.created_at, keys.c.id))
            return [_key(row) for row in rows]

    def version(self) -> int:
        """A number that grows with each change of any key."""
        with self._database.reading() as connection:
            return connection.execute(select(func.max(keys.c.version))).scalar() or 0

    def note_use(self, used: Mapping[str, float]) -> None:
        """Note when keys were last shown, by their ids; what is noted already may be later."""
        is_earlier = or_(keys.c.last_used_at.is_(None), keys.c.last_used_at < bindparam("at"))
        row = update(keys).where(keys.c.id == bindparam("key"), is_earlier)
        # In one order, or two workers would wait for each other.
        rows = [{"key": id_, "at": at} for id_, at in sorted(used.items())]
        with self._database.writing_aside() as connection:
            connection.execute(row.values(last_used_at=bindparam("at")), rows)


def _checked(scopes: Sequence[str]) -> tuple[str, ...]:
    words = Scopes(scopes).words
    if not 1 <= len(words) <= MOST_SCOPES:
        raise InvalidRequest(
            f"A key has 1 to {MOST_SCOPES} scopes.",
            hint="Say at least one: `run`, `run:NAME`, `deploy` or `admin`.",
            param="scopes",
        )
    return words


def _check_seconds(seconds: float, *, param: str) -> None:
    if not 0 < seconds <= _LONGEST:
        raise InvalidRequest(
            f"A key cannot be used for {seconds:g} seconds.",
            hint="Say how long from now: more than nothing, and at most 100 years.",
            param=param,
        )


def _alive(connection: Connection, name: str, now: float) -> Key | None:
    rows = connection.execute(select(keys).where(keys.c.name == name))
    return next((key for row in rows if (key := _key(row)).is_alive(now)), None)


def _found(connection: Connection, name: str, now: float) -> Key:
    # What no key is called may be a text that no database takes.
    key = _alive(connection, name, now) if is_key_name(name) else None
    if key is None:
        raise NotFound(
            f"No key named {name!r} is in use.", hint="`hayserve keys list` shows them all."
        )
    return key


def _version(connection: Connection) -> int:
    return (connection.execute(select(func.max(keys.c.version))).scalar() or 0) + 1


def _write(connection: Connection, key: Key) -> None:
    row = update(keys).where(keys.c.id == key.id)
    connection.execute(row.values(**_row(key), version=_version(connection)))


def _row(key: Key) -> dict[str, Any]:
    row = {name: getattr(key, name) for name in Key.__slots__}
    return {**row, "scopes": list(key.scopes), "budget": key.budget.as_fields()}


def _key(row: Row[Any]) -> Key:
    values: dict[str, Any] = {name: getattr(row, name) for name in Key.__slots__}
    values["scopes"], values["budget"] = tuple(values["scopes"]), Budget(**values["budget"])
    return Key(**values)
