"""Long lists are given in pages."""

from typing import Any

import pytest
from starlette.datastructures import QueryParams

from hayserve.errors import InvalidRequest
from hayserve.protocols.pages import page

ITEMS = [{"id": str(number)} for number in range(25)]


def ids(query: str, **options: Any) -> tuple[list[str], bool]:
    given = page(ITEMS, QueryParams(query), **options)
    found = [item["id"] for item in given["data"]]
    ends = (found[0], found[-1]) if found else (None, None)
    assert given["object"] == "list"
    assert (given["first_id"], given["last_id"]) == ends
    return found, given["has_more"]


def test_a_page_has_the_newest_first() -> None:
    assert ids("") == ([str(number) for number in range(24, 4, -1)], True)


def test_some_lists_begin_with_the_oldest() -> None:
    assert ids("limit=2", order="asc") == (["0", "1"], True)
    assert ids("limit=2&order=desc", order="asc") == (["24", "23"], True)


def test_pages_follow_each_other() -> None:
    assert ids("order=asc&limit=2") == (["0", "1"], True)
    assert ids("order=asc&limit=2&after=1") == (["2", "3"], True)
    assert ids("order=asc&limit=2&after=23") == (["24"], False)
    assert ids("order=asc&limit=2&after=24") == ([], False)
    assert ids("limit=2&after=1") == (["0"], False)


def test_other_lists_have_other_limits() -> None:
    assert len(ids("", most=1000, usual=1000)[0]) == 25
    assert len(ids("limit=1000", most=1000)[0]) == 25


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=-1", "limit"),
        ("limit=x", "limit"),
        ("limit=²", "limit"),
        (f"limit={'9' * 5000}", "limit"),
        ("limit=", "limit"),
        ("order=up", "order"),
        ("after=none", "after"),
    ],
)
def test_what_has_no_meaning_is_refused(query: str, param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        page(ITEMS, QueryParams(query))
    assert refused.value.param == param
