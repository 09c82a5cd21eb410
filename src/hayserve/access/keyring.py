"""Knows the keys in memory, and follows what becomes of them."""

import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from threading import Lock
from typing import Protocol

import anyio
import anyio.to_thread

from hayserve.access.budget import NO_BUDGET
from hayserve.access.identity import Identity
from hayserve.access.key import Key, Shown
from hayserve.access.keys import Keys
from hayserve.access.scopes import Scopes
from hayserve.errors import StorageUnavailable, Unauthorized
from hayserve.wrappers.caller import Caller

# A change is known as soon as the pulse tells of it; this is for one that it does not tell of.
LOOK_SECONDS = 0.5
# Where much is written the pulse beats more often than anybody has to look.
PAUSE_SECONDS = 0.05
NOTE_SECONDS = 10.0


class Beat(Protocol):
    """The next time that something has changed."""

    async def wait(self, seconds: float) -> None:
        """Return when it has come, or after so many seconds."""
        ...


class Pulse(Protocol):
    """Says when something in the database has changed."""

    def next(self) -> Beat: ...


class _Nothing:
    """Where nobody tells."""

    def next(self) -> Beat:
        return self

    async def wait(self, seconds: float) -> None:
        await anyio.sleep(seconds)


class Keyring:
    """The keys that are in use.

    Args:
        keys: Where they are kept.
        pulse: Says when they may have changed; without it they are looked at twice a second.
        clock: Seconds since 1970.
    """

    def __init__(
        self,
        keys: Keys,
        *,
        pulse: Pulse | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._keys = keys
        self._pulse = pulse or _Nothing()
        self._clock = clock
        self._known: Mapping[str, tuple[Key, Identity]] = {}
        self._version = -1
        self._used: dict[str, float] = {}
        self._looking = Lock()  # whoever has looked earlier must not be the last to say what is
        # Its own threads: runs that take all others must not keep a revoked key alive.
        self._limiter = anyio.CapacityLimiter(2)

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
        await anyio.to_thread.run_sync(self.look, limiter=self._limiter)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._follow)
            tasks.start_soon(self._keep_noting)
            try:
                yield
            finally:
                tasks.cancel_scope.cancel()
                with anyio.CancelScope(shield=True):
                    await self.note()

    def look(self) -> None:
        """See what has changed. It blocks."""
        with self._looking:
            version = self._keys.version()
            if version != self._version:
                kept = self._keys.all()
                known = {key.id: (key, _identity(key)) for key in kept if key.revoked_at is None}
                self._known, self._version = known, version

    async def note(self) -> None:
        """Write down which keys were shown."""
        used, self._used = self._used, {}
        if not used:
            return
        try:
            await anyio.to_thread.run_sync(self._keys.note_use, used, limiter=self._limiter)
        except StorageUnavailable:  # which is logged
            self._used = {**used, **self._used}

    async def _follow(self) -> None:
        while True:
            beat = self._pulse.next()
            with suppress(StorageUnavailable):  # it is logged; what is known holds until then
                await anyio.to_thread.run_sync(self.look, limiter=self._limiter)
            await beat.wait(LOOK_SECONDS)
            await anyio.sleep(PAUSE_SECONDS)

    async def _keep_noting(self) -> None:
        while True:
            await anyio.sleep(NOTE_SECONDS)
            await self.note()


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
        budget=key.budget or NO_BUDGET,
    )
