"""Revisions and their files are kept, byte for byte, on SQLite and on PostgreSQL."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from sqlalchemy import delete, func, select, update

from deployments.books import Book, book, bundle
from hayserve.deployments.bundle import Bundle
from hayserve.deployments.plan import Plan
from hayserve.deployments.revision import Content
from hayserve.deployments.revisions import declared_digest
from hayserve.errors import Misconfigured, NotFound
from hayserve.storage.tables import bundles, contents
from hayserve.wrappers.run_limits import RunLimits


@pytest.fixture
def kept(database_url: str) -> Iterator[Book]:
    with book(database_url) as opened:
        yield opened


def number_of_contents(kept: Book) -> int:
    with kept.database.reading() as connection:
        return connection.scalar(select(func.count()).select_from(contents)) or 0


def test_files_come_back_byte_for_byte_and_each_is_kept_once(kept: Book) -> None:
    files = {"a.py": b"x = 1\r\n", "b.bin": bytes(range(256)), "c/d.bin": b"", "e.py": b"x = 1\r\n"}
    made = Bundle(files)
    for _ in range(2):
        kept.revisions.save(made)
    assert dict(kept.revisions.bundle(made.digest).files) == files
    assert number_of_contents(kept) == 3
    kept.revisions.save(bundle("one"))
    kept.revisions.save(bundle("two"))
    assert number_of_contents(kept) == 6  # one file is the same in both


class Files(dict[str, bytes]):
    """Files of which somebody else saves the same when they are looked at."""

    def __init__(self, files: Mapping[str, bytes], save: Callable[[], None]) -> None:
        super().__init__(files)
        self._save = save

    def values(self) -> Any:
        self._save()
        return super().values()


def test_two_that_save_the_same_at_once_save_it_once(kept: Book) -> None:
    made, same = bundle("one"), bundle("one")
    files = Files(made.files, lambda: kept.revisions.save(same))
    object.__setattr__(made, "files", files)
    kept.revisions.save(made)
    with kept.database.reading() as connection:
        assert connection.scalar(select(func.count()).select_from(bundles)) == 1


def test_files_that_are_not_kept_are_not_found(kept: Book) -> None:
    with pytest.raises(NotFound, match="The files of 'abc' are not kept"):
        kept.revisions.bundle("abc")


@pytest.mark.parametrize("damage", ["changed", "lost"])
def test_files_that_the_database_has_lost_are_not_served(kept: Book, damage: str) -> None:
    made = bundle("one")
    kept.revisions.save(made)
    with kept.database.writing() as connection:
        if damage == "changed":
            connection.execute(update(contents).values(data=b"other"))
        else:
            connection.execute(delete(contents))
    with pytest.raises(Misconfigured, match="in the database are damaged"):
        kept.revisions.bundle(made.digest)


def test_a_revision_is_as_it_was_accepted(kept: Book) -> None:
    for word in ("one", "two"):
        kept.serve("it", word)
    first, second = kept.revisions.of("it")
    assert kept.revisions.get("it", 2) == second
    assert (first.number, first.content) == (1, Content("folder", bundle("one").digest))
    assert first.content.is_stored
    assert first.deployed_at <= second.deployed_at
    assert kept.revisions.digests() == {("it", bundle(word).digest) for word in ("one", "two")}


def test_what_was_given_with_a_revision_is_kept(kept: Book) -> None:
    content = Content(
        "object",
        "abc",
        place="a.py:x",
        parameters={"a": [1.5, None]},
        limits=RunLimits(max_runs=4, run_timeout=0.5),
        description="Says.",
        skip_mcp=True,
    )
    kept.ledger.activate(Plan("it", "deploy", None, content=content), coordinator="me")
    assert kept.revisions.get("it", 1).content == content


@pytest.mark.parametrize(("name", "hint"), [("it", "1, 2"), ("no", "none")])
def test_a_revision_that_is_not_there_is_told_with_those_that_are(
    kept: Book, name: str, hint: str
) -> None:
    for word in ("one", "two"):
        kept.serve("it", word)
    with pytest.raises(NotFound) as missing:
        kept.revisions.get(name, 3)
    assert missing.value.message == f"{name!r} has no revision 3."
    assert missing.value.hint == f"Its revisions: {hint}."


def test_files_go_with_the_last_revision_that_has_them(kept: Book) -> None:
    kept.serve("one", "shared")
    kept.serve("two", "shared")
    kept.serve("two", "own")
    kept.revisions.save(bundle("about to be deployed"))
    for name, left in (("two", 3), ("one", 2)):
        kept.undeploy(name)
        kept.ledger.purge(name)
        assert number_of_contents(kept) == left
    assert kept.revisions.bundle(bundle("about to be deployed").digest)


def test_files_of_no_revision_can_be_discarded_and_those_of_one_cannot(kept: Book) -> None:
    kept.serve("it", "one")
    kept.revisions.save(bundle("two"))
    for word in ("one", "two", "never"):
        kept.revisions.discard(bundle(word).digest)
    assert kept.revisions.bundle(bundle("one").digest) == bundle("one")
    with pytest.raises(NotFound):
        kept.revisions.bundle(bundle("two").digest)


def test_all_that_a_start_can_say_is_in_one_hash() -> None:
    content = Content("folder", "abc")
    assert declared_digest(content, ["a", "b"]) == declared_digest(content, ["b", "a"])
    others = [
        Content("yaml", "abc"),
        Content("folder", "abd"),
        Content("folder", "abc", place="x"),
        Content("folder", "abc", parameters={"a": 1}),
        Content("folder", "abc", limits=RunLimits(max_runs=4)),
        Content("folder", "abc", description="x"),
        Content("folder", "abc", skip_mcp=True),
    ]
    assert len({declared_digest(other, ()) for other in [content, *others]}) == 8
    assert declared_digest(content, ["a"]) != declared_digest(content, ())
