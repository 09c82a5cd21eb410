"""Gives long lists in pages, as OpenAI's clients ask for them.

Source: https://platform.openai.com/docs/api-reference/responses/input-items
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field
from starlette.datastructures import QueryParams
from typing_extensions import TypedDict

from hayserve.errors import InvalidRequest

DEFAULT_LIMIT, MOST = 20, 100
_LONGEST_NUMBER = 12


class PageQuery(TypedDict, total=False):
    """Which page a client asks for, as its query says it."""

    limit: Annotated[int, Field(ge=1, le=MOST)]
    order: Literal["asc", "desc"]
    after: str


class PageEnds(TypedDict):
    """What a page says besides what is on it."""

    object: Literal["list"]
    first_id: str | None
    last_id: str | None
    has_more: bool


class Page(PageEnds):
    """One page of a list; each of its objects has an `id`."""

    data: list[dict[str, Any]]


class Asked(NamedTuple):
    """Which page a client asks for: so many of a list, after the one that has that id."""

    limit: int
    is_ascending: bool
    after: str | None


def page(
    items: Sequence[Mapping[str, Any]],
    query: QueryParams,
    *,
    most: int = MOST,
    usual: int = DEFAULT_LIMIT,
    order: str = "desc",
) -> dict[str, Any]:
    """One page of a list.

    Args:
        items: The whole list, the oldest first; each has an `id`.
        query: `limit`, `order` ("asc" or "desc") and `after` (the id of the last one of the page
            before).
        most: How many there may be on a page.
        usual: How many there are where nobody says.
        order: The order where nobody says.

    Raises:
        InvalidRequest: One of them has no meaning.
    """
    asked = asked_in(query, most=most, usual=usual, order=order)
    ordered = list(items) if asked.is_ascending else list(reversed(items))
    start = _start(ordered, asked.after)
    end = start + asked.limit
    return page_of(ordered[start:end], has_more=end < len(ordered))


def asked_in(
    query: QueryParams, *, most: int = MOST, usual: int = DEFAULT_LIMIT, order: str = "desc"
) -> Asked:
    """Which page a query asks for; the arguments are those of `page`.

    Raises:
        InvalidRequest: As from `page`, except for an `after` that is none of the list.
    """
    wanted = query.get("order", order)
    if wanted not in ("asc", "desc"):
        raise InvalidRequest(
            f"'order' is {wanted!r}.", hint="It is 'asc' or 'desc'.", param="order"
        )
    limit = _limit(query.get("limit", str(usual)), most=most)
    return Asked(limit, wanted == "asc", query.get("after"))


def page_of(some: Sequence[Mapping[str, Any]], *, has_more: bool) -> dict[str, Any]:
    """A page that has just these."""
    return {
        "object": "list",
        "data": some,
        "first_id": some[0]["id"] if some else None,
        "last_id": some[-1]["id"] if some else None,
        "has_more": has_more,
    }


def none_of_these(after: str) -> InvalidRequest:
    """Why an `after` cannot be used."""
    return InvalidRequest(
        f"'after' is {after!r}, which is none of these.",
        hint="Use the `last_id` of the page before.",
        param="after",
    )


def number_in(value: str) -> int | None:
    """A number that a query says; None if it says something else, or too large a one."""
    is_number = value.isascii() and value.isdigit() and len(value) <= _LONGEST_NUMBER
    return int(value) if is_number else None


def _limit(value: str, *, most: int) -> int:
    if (number := number_in(value)) is None or not 1 <= number <= most:
        raise InvalidRequest(
            f"'limit' is {value!r}.", hint=f"It is a number from 1 to {most}.", param="limit"
        )
    return number


def _start(items: Sequence[Mapping[str, Any]], after: str | None) -> int:
    if after is None:
        return 0
    for index, item in enumerate(items):
        if item["id"] == after:
            return index + 1
    raise none_of_these(after)
