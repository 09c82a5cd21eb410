"""Makes and revokes keys where no server runs: in its database."""

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from hayserve.access.budget import Budget
from hayserve.access.keys import Keys
from hayserve.cli.client import Answer
from hayserve.cli.sender import sender
from hayserve.protocols.admin.key_objects import key_entry, key_made
from hayserve.storage.database import Database


class StoredKeys:
    """What a `Client` does with keys, done without a server.

    Args:
        keys: The keys in the database.
    """

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    def create_key(
        self,
        name: str,
        *,
        scopes: Sequence[str],
        budget: Mapping[str, int],
        expires_in: int | None = None,
    ) -> Answer:
        key, text = self._keys.create(
            name, scopes=scopes, budget=Budget.of(budget), expires_in=expires_in, by=_by()
        )
        return _answer(key_made(key, text))

    def keys(self) -> Answer:
        return {"keys": [key_entry(key) for key in self._keys.all()]}

    def rotate_key(self, name: str, *, keep_old: int = 0) -> Answer:
        return _answer(key_made(*self._keys.rotate(name, keep_old=keep_old)))

    def revoke_key(self, name: str) -> Answer:
        return _answer(key_entry(self._keys.revoke(name)))


@contextmanager
def stored_keys(database: Database) -> Generator[StoredKeys]:
    """The keys of a database, which is open for as long as the block lasts.

    Raises:
        Misconfigured: It cannot be opened.
    """
    database.open()
    try:
        yield StoredKeys(Keys(database))
    finally:
        database.close()


def _by() -> str:
    return f"the command line, {sender(Path())}"


def _answer(told: Any) -> Answer:
    return cast(Answer, told)
