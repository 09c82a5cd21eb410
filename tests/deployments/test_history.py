"""The past of a deployment can be read, also when it is not served any more."""

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from deployments.books import Book, book
from hayserve.deployments.bundle import Bundle
from hayserve.deployments.history import History, earlier, last_served
from hayserve.deployments.plan import Plan, alias_plan
from hayserve.deployments.revision import NOBODY, Content
from hayserve.errors import InvalidRequest, NotFound
from hayserve.wrappers.run_limits import RunLimits


@pytest.fixture
def kept() -> Iterator[Book]:
    with book("sqlite://") as opened:
        yield opened


def past(kept: Book) -> History:
    return History(kept.ledger, kept.revisions)


def roll_back(kept: Book, number: int) -> None:
    plan = Plan("it", "rollback", kept.ledger.active("it"), number=number)
    kept.ledger.activate(plan, coordinator="me")


def test_revisions_are_told_with_what_became_of_them(kept: Book) -> None:
    kept.serve("it", "one")
    kept.serve("it", "two")
    refused = kept.begin(kept.plan("it", "three"))
    kept.ledger.end(refused.id, stage="aborted")
    roll_back(kept, 1)

    third, second, first = past(kept).of("it")
    assert [one.revision.number for one in (third, second, first)] == [3, 2, 1]
    assert [one.is_active for one in (third, second, first)] == [False, False, True]
    assert third.served_at is None
    assert second.served_at is not None
    assert first.served_at is not None
    assert second.served_at <= first.served_at  # it was served again

    kept.undeploy("it")
    assert not any(one.is_active for one in past(kept).of("it"))
    with pytest.raises(NotFound, match="Nothing was ever deployed as 'no'"):
        past(kept).of("no")


def test_other_names_are_no_new_service(kept: Book) -> None:
    kept.serve("it")
    before = past(kept).of("it")
    active = kept.ledger.active("it")
    assert active is not None
    kept.ledger.activate(alias_plan(active, ["gpt"], author=NOBODY), coordinator="me")
    assert past(kept).of("it") == before


def test_revisions_are_compared_with_their_parameters_and_limits(kept: Book) -> None:
    given: Sequence[tuple[str, dict[str, Any]]] = [
        ("one\n", {}),
        ("two\n", {}),
        ("two\n", {"parameters": {"a": 1}}),
        ("two\n", {"limits": RunLimits(max_runs=4)}),
    ]
    for word, terms in given:
        made = Bundle.of_texts({"pipeline_wrapper.py": word})
        kept.revisions.save(made)
        content = Content("folder", made.digest, **terms)
        plan = Plan("it", "deploy", kept.ledger.active("it"), content=content)
        kept.ledger.activate(plan, coordinator="me")
    assert "-one\n+two\n" in past(kept).diff("it", old=1, new=2)
    assert past(kept).diff("it", old=2, new=3) == "-parameters {}\n+parameters {'a': 1}\n"
    assert past(kept).diff("it", old=3, new=4) == (
        "-parameters {'a': 1}\n+parameters {}\n-limits {}\n+limits {'max_runs': 4}\n"
    )
    assert past(kept).diff("it", old=2, new=2) == ""
    with pytest.raises(NotFound, match="'it' has no revision 9"):
        past(kept).diff("it", old=1, new=9)


def test_what_is_not_stored_has_no_files_to_compare(kept: Book) -> None:
    for digest in ("a", "b"):
        plan = Plan("it", "deploy", None, content=Content("thing", digest))
        kept.ledger.activate(plan, coordinator="me")
    assert past(kept).diff("it", old=1, new=2) == ""


def test_the_earlier_one_is_the_last_before_that_was_ever_served(kept: Book) -> None:
    for word in ("one", "two"):
        kept.serve("it", word)
    kept.ledger.end(kept.begin(kept.plan("it", "three")).id, stage="aborted")
    kept.serve("it", "four")

    def before() -> int:
        return earlier(kept.ledger.history("it"), kept.ledger.active("it"))

    assert before() == 2
    roll_back(kept, 2)
    assert before() == 1
    roll_back(kept, 1)
    with pytest.raises(InvalidRequest, match=r"no earlier revision\. `hayserve history it`"):
        before()
    kept.undeploy("it")
    assert before() == 1


def test_what_was_never_served_has_no_past_to_go_back_to(kept: Book) -> None:
    kept.ledger.end(kept.begin(kept.plan("it")).id, stage="aborted")
    history = kept.ledger.history("it")
    assert last_served(history) is None
    with pytest.raises(InvalidRequest):
        earlier(history, None)
    kept.serve("it", aliases=("gpt",), keep=False)
    kept.undeploy("it")
    last = last_served(kept.ledger.history("it"))
    assert last is not None
    assert (last.aliases, last.keep) == (("gpt",), False)
