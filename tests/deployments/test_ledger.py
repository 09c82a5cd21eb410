"""What should be served is written down, and every change of it, on SQLite and on PostgreSQL."""

from collections.abc import Iterator

import pytest
from sqlalchemy import insert, select

from deployments.books import Book, book
from hayserve.deployments.change import Answer
from hayserve.deployments.ledger import Busy, Outdated
from hayserve.deployments.plan import Plan, alias_plan
from hayserve.deployments.revision import NOBODY, Author
from hayserve.errors import NameTaken
from hayserve.storage.tables import answers, changes, names


@pytest.fixture
def kept(database_url: str) -> Iterator[Book]:
    with book(database_url) as opened:
        yield opened


def test_a_change_is_written_down_before_it_is_true(kept: Book) -> None:
    plan = kept.plan("it", aliases=("gpt",), keep=False, author=Author("key", "ann@laptop"))
    change = kept.begin(plan)

    assert (change.name, change.action, change.stage, change.coordinator) == (
        "it",
        "deploy",
        "loading",
        "me",
    )
    assert (change.names, change.keep, change.ended_at, change.reason) == (
        ("it", "gpt"),
        False,
        None,
        "",
    )
    assert change.author == Author("key", "ann@laptop")
    assert change.revision is not None
    assert (change.revision.number, change.revision.author) == (1, change.author)
    assert change.begun_at == change.begun_at.astimezone()
    assert kept.ledger.active("it") is None
    assert list(kept.ledger.snapshot().open_changes) == [change]
    assert kept.ledger.snapshot().active == []


def test_a_change_that_all_workers_hold_for_becomes_true_in_one_transaction(kept: Book) -> None:
    kept.members.join()
    change = kept.begin(kept.plan("it", aliases=("gpt",), keep=False))
    own = kept.members.id
    kept.ledger.answer(change.id, Answer(own, "loaded"))
    assert kept.ledger.advance(change.id, old="loading", new="holding")
    assert not kept.ledger.commit(change)  # it has not answered that it holds
    kept.ledger.answer(change.id, Answer(own, "held"))
    assert kept.ledger.answers(change.id) == {own: Answer(own, "held")}
    assert kept.ledger.commit(change)

    active = kept.ledger.active("it")
    assert active is not None
    assert (active.names, active.keep, active.revision) == (("it", "gpt"), False, change.revision)
    assert kept.ledger.stage(change.id) == "committed"
    assert kept.ledger.end(change.id, stage="done")
    assert kept.ledger.stage(change.id) == "done"
    assert kept.ledger.snapshot().open_changes == []
    assert kept.ledger.answers(change.id) == {}
    [past] = kept.ledger.history("it")
    assert past.ended_at is not None
    assert past.begun_at <= past.ended_at


def test_a_change_that_was_aborted_cannot_become_true(kept: Book) -> None:
    change = kept.begin(kept.plan("it"))
    assert kept.ledger.advance(change.id, old="loading", new="holding")
    assert kept.ledger.end(change.id, stage="aborted", reason="it hangs")
    assert not kept.ledger.end(change.id, stage="aborted")
    assert not kept.ledger.advance(change.id, old="loading", new="holding")
    with pytest.raises(Outdated):
        kept.ledger.commit(change)
    assert kept.ledger.active("it") is None
    assert [(past.stage, past.reason) for past in kept.ledger.history("it")] == [
        ("aborted", "it hangs")
    ]


def test_a_change_that_is_true_cannot_be_aborted(kept: Book) -> None:
    change = kept.begin(kept.plan("it"))
    assert not kept.ledger.end(change.id, stage="done")
    kept.ledger.advance(change.id, old="loading", new="holding")
    assert kept.ledger.commit(change)
    assert not kept.ledger.end(change.id, stage="aborted")
    assert kept.ledger.stage(change.id) == "committed"


def test_answers_to_a_change_that_has_ended_are_not_kept(kept: Book) -> None:
    change = kept.begin(kept.plan("it"))
    kept.ledger.answer(change.id, Answer("a", "failed", {"message": "no"}))
    assert kept.ledger.answers(change.id) == {"a": Answer("a", "failed", {"message": "no"})}
    kept.ledger.end(change.id, stage="aborted")
    kept.ledger.answer(change.id, Answer("a", "loaded"))
    assert kept.ledger.answers(change.id) == {}


def test_a_change_that_is_not_there_was_aborted(kept: Book) -> None:
    assert kept.ledger.stage(4711) == "aborted"


def test_only_one_change_of_a_deployment_is_open(kept: Book) -> None:
    change = kept.begin(kept.plan("it"))
    with pytest.raises(Busy):
        kept.begin(kept.plan("it", "two"))
    kept.begin(kept.plan("other"))
    kept.ledger.end(change.id, stage="aborted")
    again = kept.begin(kept.plan("it", "two"))
    assert again.revision is not None
    assert again.revision.number == 2  # that of the aborted one is not used again


def test_a_plan_that_has_seen_something_else_is_outdated(kept: Book) -> None:
    unseen = kept.plan("it", "two")
    kept.serve("it", "one")
    with pytest.raises(Outdated):
        kept.begin(unseen)
    seen = kept.ledger.active("it")
    assert seen is not None
    alias = alias_plan(seen, ["gpt"], author=NOBODY)
    kept.ledger.activate(alias, coordinator="me")
    with pytest.raises(Outdated):  # the revision is the same, and the names are not
        kept.begin(alias_plan(seen, ["other"], author=NOBODY))


def test_a_plan_whose_files_or_revision_are_gone_is_outdated(kept: Book) -> None:
    plan = kept.plan("it")
    assert plan.content is not None
    kept.revisions.discard(plan.content.digest)
    with pytest.raises(Outdated):
        kept.begin(plan)
    with pytest.raises(Outdated):
        kept.begin(Plan("it", "rollback", None, number=1))


@pytest.mark.parametrize("is_open", [True, False])
def test_a_name_that_belongs_to_another_is_refused(kept: Book, is_open: bool) -> None:
    first = kept.plan("one", aliases=("gpt", "uno"))
    if is_open:
        kept.begin(first)
    else:
        kept.ledger.activate(first, coordinator="me")
    for plan in (
        kept.plan("gpt"),
        kept.plan("two", aliases=("due", "uno")),
        kept.plan("three", aliases=("one",)),
    ):
        with pytest.raises(NameTaken, match="belongs to the deployment 'one'"):
            kept.begin(plan)
        with pytest.raises(NameTaken, match="belongs to the deployment 'one'"):
            kept.ledger.activate(plan, coordinator="me")
    assert kept.ledger.history("two") == []


def test_a_name_that_was_given_up_can_be_taken(kept: Book) -> None:
    kept.serve("one", aliases=("gpt",))
    kept.undeploy("one")
    kept.serve("gpt", aliases=("one",))
    assert [active.names for active in kept.ledger.snapshot().active] == [("gpt", "one")]


def test_an_undeploy_that_is_open_keeps_nobody_from_other_names(kept: Book) -> None:
    kept.serve("one")
    kept.begin(Plan("one", "undeploy", kept.ledger.active("one")))
    assert kept.begin(kept.plan("two", aliases=("due",))).stage == "loading"


def test_names_that_were_taken_in_spite_of_all_are_refused_at_the_end(kept: Book) -> None:
    kept.serve("one")
    change = kept.begin(kept.plan("two", aliases=("gpt",)))
    kept.ledger.advance(change.id, old="loading", new="holding")
    with kept.database.writing() as connection:
        connection.execute(insert(names).values(name="gpt", deployment="one"))
    with pytest.raises(NameTaken, match="One of the names 'two', 'gpt' was taken meanwhile"):
        kept.ledger.commit(change)
    assert kept.ledger.stage(change.id) == "holding"
    assert kept.ledger.active("two") is None


def test_deployments_are_listed_in_the_order_of_their_deploys(kept: Book) -> None:
    for name in "bca":
        kept.serve(name)
    kept.serve("b", "two")
    assert [one.name for one in kept.ledger.snapshot().active] == ["b", "c", "a"]
    kept.undeploy("b")
    kept.serve("b")
    assert [one.name for one in kept.ledger.snapshot().active] == ["c", "a", "b"]
    kept.ledger.arrange(["a", "absent", "c"])
    assert [one.name for one in kept.ledger.snapshot().active] == ["a", "c", "b"]


def test_what_is_purged_leaves_nothing(kept: Book) -> None:
    kept.serve("it", aliases=("gpt",))
    kept.serve("other", "two")
    kept.undeploy("it")
    assert kept.ledger.purge("it")
    assert kept.ledger.history("it") == []
    assert kept.revisions.of("it") == []
    with kept.database.reading() as connection:
        assert {row.name for row in connection.execute(select(changes))} == {"other"}
    kept.serve("it")
    assert [revision.number for revision in kept.revisions.of("it")] == [1]


def test_what_is_served_or_about_to_be_is_not_purged(kept: Book) -> None:
    kept.serve("it")
    assert not kept.ledger.purge("it")
    kept.undeploy("it")
    change = kept.begin(kept.plan("it", "two"))
    kept.ledger.answer(change.id, Answer("a", "loaded"))
    assert not kept.ledger.purge("it")
    assert len(kept.revisions.of("it")) == 2
    kept.ledger.end(change.id, stage="aborted")
    assert kept.ledger.purge("it")
    with kept.database.reading() as connection:
        assert connection.execute(select(answers)).all() == []
