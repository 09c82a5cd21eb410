"""Code runs from the server's own folders, from where an object is, or from memory."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from deployments.books import Book, book, bundle
from hayserve.deployments.bundle import Bundle
from hayserve.deployments.code_folders import CodeFolders
from hayserve.deployments.revision import NOBODY, Content, Revision
from hayserve.deployments.source import Source
from hayserve.deployments.target import Target
from hayserve.errors import DeployRefused, NotFound
from hayserve.wrappers.run_limits import RunLimits

THING = object()


@pytest.fixture
def kept() -> Iterator[Book]:
    with book("sqlite://") as opened:
        yield opened


def source(kept: Book, folder: Path) -> Source:
    things = {"thing": Target("thing", "thing", Path(), thing=THING)}
    return Source(kept.revisions, CodeFolders(folder), things)


def revision(content: Content, name: str = "it") -> Revision:
    return Revision(name, 1, content, "pipelines dir", NOBODY, datetime.now(UTC))


def test_a_folder_is_put_on_the_disk(kept: Book, tmp_path: Path) -> None:
    made = bundle("x = 1")
    kept.revisions.save(made)
    limits = RunLimits(max_runs=4)
    content = Content(
        "folder", made.digest, parameters={"a": 1}, limits=limits, description="Says."
    )
    target = source(kept, tmp_path).target(revision(content), ("gpt",))
    assert (target.path / "pipeline_wrapper.py").read_text() == "x = 1"
    assert target.path.is_relative_to(tmp_path)
    assert (target.name, target.kind, target.aliases) == ("it", "folder", ("gpt",))
    assert (target.origin, target.revision) == ("pipelines dir", made.digest)
    assert (target.parameters, target.limits, target.description) == ({"a": 1}, limits, "Says.")


def test_yaml_is_one_file(kept: Book, tmp_path: Path) -> None:
    made = Bundle.of_texts({"pipeline.yml": "a: 1"})
    content = Content("yaml", made.digest, skip_mcp=True)
    target = source(kept, tmp_path).target_of("it", content, made)
    assert target.path.read_text() == "a: 1"
    assert (target.origin, target.skip_mcp) == ("deployed", True)


def test_an_object_stays_where_it_is(kept: Book, tmp_path: Path) -> None:
    content = Content("object", "abc", place="/a:b/agents.py:agent")
    target = source(kept, tmp_path).target(revision(content))
    assert (target.path, target.attribute) == (Path("/a:b/agents.py"), "agent")
    assert not list(tmp_path.iterdir())


def test_a_thing_is_in_memory_or_nowhere(kept: Book, tmp_path: Path) -> None:
    content = Content("thing", "", place="thing")
    assert source(kept, tmp_path).target(revision(content, "thing")).thing is THING
    with pytest.raises(DeployRefused, match="'it' is an object in memory, and this process"):
        source(kept, tmp_path).target(revision(content))


def test_files_that_are_lost_are_said(kept: Book, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="are not kept"):
        source(kept, tmp_path).target(revision(Content("folder", "a" * 64)))


def test_files_that_are_marked_stay(kept: Book, tmp_path: Path) -> None:
    made, found = bundle("x = 1"), source(kept, tmp_path)
    kept.revisions.save(made)
    served = revision(Content("folder", made.digest))
    path = found.target(served).path
    with found.mark("it", served.content):
        found.discard("it", made.digest)
        assert path.is_dir()
    found.discard("it", made.digest)
    assert not path.exists()


def test_files_that_nobody_wants_are_collected(kept: Book, tmp_path: Path) -> None:
    found, paths = source(kept, tmp_path), list[Path]()
    for word in ("one", "two", "three"):
        kept.revisions.save(bundle(word))
        served = revision(Content("folder", bundle(word).digest))
        paths.append(found.target(served).path)
    with found.mark("it", Content("folder", bundle("one").digest)):
        found.collect({("it", bundle("two").digest)})
    assert [path.is_dir() for path in paths] == [True, True, False]
    with found.mark("it", Content("thing", "")):
        pass  # there is nothing to keep
