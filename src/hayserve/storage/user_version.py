"""Changes of an SQLite file: a number in it that each transaction of a writer counts up."""

import sqlite3

from hayserve.storage.commits import Commits


class UserVersion:
    """Asks <https://www.sqlite.org/pragma.html#pragma_user_version> on a connection of its own.

    `PRAGMA data_version` costs the same, and tells of what was written aside, too.
    """

    is_polled = True

    def __init__(self, path: str, commits: Commits) -> None:
        self._path = path
        self._commits = commits
        self._connection: sqlite3.Connection | None = None
        self._seen: int | None = None
        self._commits_seen = 0
        self.changed()

    def changed(self) -> bool:
        self._commits_seen = self._commits.number
        try:
            now = self._ask()
        except sqlite3.Error:  # the disk failed; when it is back, anything may have changed
            self.close()
            now = None
        before, self._seen = self._seen, now
        return now is not None and now != before

    def pause(self, seconds: float) -> None:
        self._commits.wait(seconds, past=self._commits_seen)

    def wake(self) -> None:
        self._commits.add()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _ask(self) -> int:
        if self._connection is None:
            self._connection = sqlite3.connect(self._path, check_same_thread=False)
        return int(self._connection.execute("PRAGMA user_version").fetchone()[0])
