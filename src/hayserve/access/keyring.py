"""Knows the keys in memory, and follows what becomes of them."""

import logging
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial

import anyio
import anyio.to_thread

from hayserve.access.identity import Identity
from hayserve.access.key import Key, Shown
from hayserve.access.keys import Keys
from hayserve.access.scopes import Scopes
from hayserve.errors import StorageUnavailable, Unauthorized
from hayserve.wrappers.caller import Caller

logger = logging.getLogger("hayserve.access")

# A change is known as soon as the database tells of it; this is for one that it does not tell of.
LOOK_SECONDS = 0.5
NOTE_SECONDS = 10.0


class Keyring:
    """The keys that are in use.

    Args:
        keys: Where they are kept.
        clock: Seconds since 1970.
    """

    def __init__(self, keys: Keys, *, clock: Callable[[], float] = time.time) -> None:
        self._keys = keys
        self._clock = clock
        self._known: Mapping[str, tuple[Key, Identity]] = {}
        self._version = -1
        self._used: dict[str, float] = {}

    def identity_of(self, shown: Shown) -> Identity:
        """Who shows a key; one that is refused if the key is not in use."""
        now = self._clock()
        known = self._known.get(shown.id)
        if known is None or not known[0].is_opened_by(shown, now=now):
            return _UNKNOWN
        self._used[shown.id] = now
        return known[1]

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Follow the keys for as long as the block lasts.

        Raises:
            StorageUnavailable: The database does not answer at the start.
        """
        await anyio.to_thread.run_sync(self.look)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._every, LOOK_SECONDS, self.look)
            tasks.start_soon(self._every, NOTE_SECONDS, self.note)
            try:
                yield
            finally:
                tasks.cancel_scope.cancel()
                with anyio.CancelScope(shield=True):
                    await self._done(self.note)

    def look(self) -> None:
        """See what has changed. It blocks."""
        version = self._keys.version()
        if version != self._version:
            known = {key.id: (key, _identity(key)) for key in self._keys.all()}
            self._known, self._version = known, version

    def note(self) -> None:
        """Write down which keys were shown. It blocks."""
        used, self._used = self._used, {}
        if used:
            self._keys.note_use(used)

    async def _every(self, seconds: float, work: Callable[[], None]) -> None:
        while True:
            await anyio.sleep(seconds)
            await self._done(work)

    async def _done(self, work: Callable[[], None]) -> None:
        await anyio.to_thread.run_sync(partial(_tried, work))


def _tried(work: Callable[[], None]) -> None:
    try:
        work()
    except StorageUnavailable:  # which is logged; what is known holds until it answers
        return


def _refused() -> Unauthorized:
    return Unauthorized(
        "This key is not known, has expired or was revoked.",
        hint="`hayserve keys list` shows which keys are in use.",
    )


_UNKNOWN = Identity(refusal=_refused)


def _identity(key: Key) -> Identity:
    return Identity(
        caller=Caller("key", key.name),
        owner=key.id,
        scopes=Scopes(key.scopes),
        budget=key.budget,
    )
