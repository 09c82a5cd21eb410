"""The number that tells whether a file of SQLite has changed."""

from pathlib import Path

from hayserve.storage.commits import Commits
from hayserve.storage.database import Database
from hayserve.storage.user_version import UserVersion


def test_a_disk_that_fails_is_looked_at_again_until_it_is_back(tmp_path: Path) -> None:
    path = tmp_path / "later" / "hayserve.db"
    source = UserVersion(str(path), Commits())
    assert not source.changed()

    database = Database(f"sqlite:///{path}")
    database.open()

    assert source.changed()
    assert not source.changed()
    source.close()
    database.close()
