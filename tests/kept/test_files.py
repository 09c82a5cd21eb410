"""Files are kept in pieces, on SQLite and on PostgreSQL."""

from dataclasses import replace

import pytest

from hayserve.kept.files import GIVEN_UP_SECONDS, File, Files
from hayserve.storage.database import Database
from kept.conftest import Clock

ONE = File("file_1", "me", "a.txt", "user_data", "text/plain", 0, 1_000_000.0, 1_000_100.0)


@pytest.fixture
def files(database: Database, clock: Clock) -> Files:
    return Files(database, clock=clock)


def upload(files: Files, file: File, *pieces: bytes) -> File:
    files.begin(file)
    for number, piece in enumerate(pieces):
        files.add(file.id, piece, number=number)
    size = sum(map(len, pieces))
    files.end(file.id, size)
    return replace(file, size=size)


def test_a_file_is_shown_when_it_is_whole(files: Files) -> None:
    files.begin(ONE)
    files.add("file_1", b"ab", number=0)
    assert files.find("file_1", owner="me") is None
    assert files.owned("me") == []
    files.end("file_1", 2)
    assert files.find("file_1", owner="me") == replace(ONE, size=2)


def test_a_file_is_its_owners(files: Files) -> None:
    upload(files, ONE, b"ab")
    assert files.find("file_1", owner="you") is None
    assert files.owned("you") == []
    assert not files.delete("file_1", owner="you")


def test_a_file_comes_back_in_pieces(files: Files) -> None:
    upload(files, ONE, b"ab", b"c")
    assert list(files.content("file_1")) == [b"ab", b"c"]
    assert list(files.content("nothing")) == []


def test_files_are_listed_the_newest_first(files: Files) -> None:
    old = upload(files, ONE, b"a")
    new = upload(files, replace(ONE, id="file_2", created_at=ONE.created_at + 1), b"b")
    assert files.owned("me") == [new, old]


def test_a_file_is_deleted_with_its_contents(files: Files) -> None:
    upload(files, ONE, b"a")
    assert files.delete("file_1", owner="me")
    assert not files.delete("file_1", owner="me")
    assert files.piece("file_1", 0) is None


def test_what_has_expired_is_deleted(files: Files, clock: Clock) -> None:
    upload(files, ONE, b"a")
    files.begin(replace(ONE, id="given up"))
    clock.now = ONE.expires_at - 1
    assert files.purge() == 0
    clock.now += 1
    assert files.find("file_1", owner="me") is None
    assert files.purge() == 2


def test_what_was_begun_and_never_ended_is_deleted(files: Files, clock: Clock) -> None:
    late = ONE.created_at + 10 * GIVEN_UP_SECONDS
    files.begin(replace(ONE, expires_at=late))
    files.add("file_1", b"a", number=0)
    upload(files, replace(ONE, id="file_2", expires_at=late), b"b")
    clock.now += GIVEN_UP_SECONDS - 1
    assert files.purge() == 0
    clock.now += 1
    assert files.purge() == 1
    assert files.piece("file_1", 0) is None
    assert files.find("file_2", owner="me") is not None
