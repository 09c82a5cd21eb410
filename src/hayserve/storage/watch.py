"""Waiting for somebody, in this process or another, to change the database."""

from threading import Lock
from time import monotonic
from typing import Protocol

from hayserve.storage.commits import Commits
from hayserve.storage.database import Database
from hayserve.storage.postgres import connection_arguments
from hayserve.storage.user_version import UserVersion


class Source(Protocol):
    """Where the changes of one kind of database can be seen; used by one thread at a time."""

    @property
    def is_polled(self) -> bool:
        """Whether `pause` misses changes, so that it must be short."""
        ...

    def changed(self) -> bool:
        """Whether anything happened, or may have happened, since this was last asked."""
        ...

    def pause(self, seconds: float) -> None:
        """Wait for a change or for `wake`."""
        ...

    def wake(self) -> None:
        """End a `pause` in another thread."""
        ...

    def close(self) -> None: ...


class Watch:
    """Tells one thread that the database changed. A change between two waits is not missed.

    `poll_seconds` is how often a database is looked at that cannot tell by itself (SQLite).
    """

    def __init__(self, source: Source) -> None:
        self.poll_seconds = 0.02
        self._source = source
        self._closed = False
        self._in_use = Lock()

    def wait(self, timeout_seconds: float) -> bool:
        """Block until the database changed or may have changed; `False` after the timeout."""
        with self._in_use:
            changed = self._seen_before(monotonic() + timeout_seconds)
        self._close_if_unused()
        return changed

    def close(self) -> None:
        """Wake the thread that waits; from now on a wait is over at once."""
        if not self._closed:
            self._closed = True
            self._source.wake()
            self._close_if_unused()

    def _seen_before(self, deadline: float) -> bool:
        while not self._closed:
            if self._source.changed():
                return True
            left = deadline - monotonic()
            if left <= 0:
                return False
            self._source.pause(min(left, self.poll_seconds) if self._source.is_polled else left)
        return False

    def _close_if_unused(self) -> None:
        """Whoever is last closes: the thread that waits, or the one that ended the watch."""
        if self._closed and self._in_use.acquire(blocking=False):
            self._source.close()
            self._in_use.release()


class InMemory:
    """Commits are the only changes there can be."""

    is_polled = False

    def __init__(self, commits: Commits) -> None:
        self._commits = commits
        self._seen = commits.number

    def changed(self) -> bool:
        before, self._seen = self._seen, self._commits.number
        return self._seen > before

    def pause(self, seconds: float) -> None:
        self._commits.wait(seconds, past=self._seen)

    def wake(self) -> None:
        self._commits.add()

    def close(self) -> None: ...


def watch(database: Database) -> Watch:
    """A watch of an open database, from now on."""
    if database.address.is_in_memory:
        return Watch(InMemory(database.commits))
    if database.address.is_sqlite:
        return Watch(UserVersion(database.address.url.database or "", database.commits))
    from hayserve.storage.notifications import Notifications  # noqa: PLC0415  needs the driver

    return Watch(Notifications(connection_arguments(database.engine)))
