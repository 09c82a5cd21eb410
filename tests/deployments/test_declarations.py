"""It is written down what each node was started with, on SQLite and on PostgreSQL."""

from collections.abc import Iterator

import pytest

from deployments.books import Book, book
from hayserve.deployments.change import Declaration, DeclaredFailure
from hayserve.deployments.declarations import Declarations, Entry
from hayserve.errors import DeployRefused, as_fields

ERROR = as_fields(DeployRefused("No.", hint="Try."))


@pytest.fixture
def kept(database_url: str) -> Iterator[Book]:
    with book(database_url) as opened:
        yield opened


def test_what_a_node_was_started_with_is_known_at_the_next_start(kept: Book) -> None:
    noted = Declarations(kept.database)
    noted.note("here", {"a": Entry("run", "1", "pipelines dir")})
    noted.note("here", {"b": Entry("run", "2", error=ERROR)})
    noted.note("there", {"a": Entry("other", "3")})
    noted.note("here", {"": Entry("run")})
    assert noted.of("here") == {"a": Declaration("1", False), "b": Declaration("2", True)}
    assert noted.of("there") == {"a": Declaration("3", False)}
    assert noted.of("nowhere") == {}
    assert kept.ledger.snapshot("here").declared == {"a": "run", "b": "run", "": "run"}
    assert list(kept.ledger.snapshot().failures) == [DeclaredFailure("b", "command line", ERROR)]

    noted.note("here", {"b": Entry("later", "2")})
    assert noted.of("here")["b"] == Declaration("2", False)
    noted.forget("a", node="here")
    assert set(noted.of("here")) == {"b"}
    assert set(noted.of("there")) == {"a"}


def test_only_failures_are_forgotten_when_they_are_undeployed(kept: Book) -> None:
    noted = Declarations(kept.database)
    noted.note("here", {"a": Entry("run", "1")})
    assert not noted.forget_failures("a")
    noted.note("there", {"a": Entry("run", "1", error=ERROR)})
    assert noted.forget_failures("a")
    assert set(noted.of("here")) == {"a"}
    assert noted.of("there") == {}


def test_what_is_deployed_over_a_failure_ends_it(kept: Book) -> None:
    noted = Declarations(kept.database)
    noted.note("here", {"a": Entry("run", "1", error=ERROR)})
    kept.serve("a")
    assert kept.ledger.snapshot().failures == []
    assert noted.of("here") == {"a": Declaration("1", False)}
