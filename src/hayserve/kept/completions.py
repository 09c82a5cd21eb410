"""Finds the chat completions among the responses that are kept."""

import time
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, and_, or_, select, update

from hayserve.storage.database import Database
from hayserve.storage.tables import responses

COMPLETION = "chat.completion"


class Completions:
    """The chat completions of all workers that share a database. The methods block.

    Args:
        database: Where they are kept.
        clock: Seconds since 1970.

    Raises:
        StorageUnavailable: From each method, if the database does not answer.
    """

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock

    def note(self, id_: str, notes: Mapping[str, str], *, owner: str) -> Mapping[str, Any] | None:
        """Replace the `metadata` of one; gives it as it is then, None if there is none."""
        own = and_(self._own(owner), responses.c.id == id_)
        with self._database.writing_aside() as connection:
            body = connection.execute(select(responses.c.body).where(own)).scalar()
            if body is None:
                return None
            noted: dict[str, Any] = {**body, "metadata": {**notes}}
            connection.execute(update(responses).where(own).values(body=noted))
        return noted

    def some(
        self,
        owner: str,
        *,
        wanted: Callable[[Mapping[str, Any]], bool],
        limit: int,
        is_ascending: bool = True,
        after: str | None = None,
    ) -> list[Mapping[str, Any]] | None:
        """Those of an owner that are wanted, by the time when they were made.

        Args:
            owner: Whose.
            wanted: Whether one of them is, by what is in it.
            limit: How many at most.
            is_ascending: Whether the oldest come first.
            after: The id of the one that comes before them all.

        Returns:
            The completions; None if there is no `after`.
        """
        query = self._in_order(owner, is_ascending=is_ascending)
        with self._database.reading() as connection:
            if after is not None:
                place = connection.execute(self._place_of(after, owner)).first()
                if place is None:
                    return None
                query = query.where(_follows(place, is_ascending=is_ascending))
            # One after the other: there may be many more than are wanted.
            with connection.execution_options(stream_results=True).execute(query) as rows:
                return list(islice(filter(wanted, rows.scalars()), limit))

    def _place_of(self, id_: str, owner: str) -> Select[Any, Any]:
        row = responses.c
        return select(row.created_at, row.id).where(self._own(owner), row.id == id_)

    def _in_order(self, owner: str, *, is_ascending: bool) -> Select[Any]:
        row = responses.c
        order = (row.created_at, row.id) if is_ascending else (row.created_at.desc(), row.id.desc())
        return select(row.body).where(self._own(owner)).order_by(*order)

    def _own(self, owner: str) -> ColumnElement[bool]:
        row = responses.c
        is_completion = row.body["object"].as_string() == COMPLETION
        return and_(row.owner == owner, is_completion, row.expires_at > self._clock())


def _follows(place: Row[Any, Any], *, is_ascending: bool) -> ColumnElement[bool]:
    row = responses.c
    created_at, id_ = place.created_at, place.id
    beside = row.created_at == created_at
    if is_ascending:
        return or_(row.created_at > created_at, and_(beside, row.id > id_))
    return or_(row.created_at < created_at, and_(beside, row.id < id_))
