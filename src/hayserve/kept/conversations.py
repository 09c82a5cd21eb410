"""Keeps conversations: their items in order, and whose turn it is."""

import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    and_,
    delete,
    false,
    func,
    insert,
    or_,
    select,
    update,
)

from hayserve.kept.responses import may_be_id
from hayserve.storage.database import Database
from hayserve.storage.tables import conversation_items, conversations, workers

Item: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation.

    Args:
        id: Its id.
        owner: Stands for the key that made it; nobody else is shown it.
        metadata: What its owner noted.
        created_at: Seconds since 1970.
    """

    id: str
    owner: str
    metadata: Mapping[str, str]
    created_at: float


class Conversations:
    """The conversations of all workers that share a database. The methods block.

    Args:
        database: Where they are kept.
        worker: The id of this worker.
        keep_seconds: For how long, from the last change on.
        clock: Seconds since 1970.

    Raises:
        StorageUnavailable: From each method, if the database does not answer.
    """

    def __init__(
        self,
        database: Database,
        *,
        worker: str,
        keep_seconds: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._worker = worker
        self._keep_seconds = keep_seconds
        self._clock = clock

    def add(self, conversation: Conversation, items: Sequence[Item]) -> list[Item]:
        """Keep a new conversation; gives its items as they are kept (see `append`)."""
        row = {name: getattr(conversation, name) for name in Conversation.__slots__}
        with self._database.writing_aside() as connection:
            connection.execute(insert(conversations).values(**row, expires_at=self._expiry()))
            return _append(connection, conversation.id, items)

    def find(self, id_: str, *, owner: str) -> Conversation | None:
        """A conversation; None if there is none of that id, or it is not the owner's."""
        with self._database.reading() as connection:
            row = connection.execute(select(conversations).where(self._own(id_, owner))).first()
        return None if row is None else _conversation(row)

    def note(self, id_: str, metadata: Mapping[str, str], *, owner: str) -> bool:
        """Replace what the owner noted; gives whether there is such a conversation."""
        return self._change(id_, owner, metadata=metadata)

    def delete(self, id_: str, *, owner: str) -> bool:
        """Delete a conversation with its items; gives whether there was one."""
        own = delete(conversations).where(self._own(id_, owner))
        with self._database.writing_aside() as connection:
            return bool(connection.execute(own).rowcount)

    def items(self, id_: str) -> list[Item]:
        """The items of a conversation, the oldest first."""
        rows = conversation_items.c
        query = select(rows.data).where(rows.conversation == id_).order_by(rows.position)
        with self._database.reading() as connection:
            return list(connection.execute(query).scalars())

    def append(self, id_: str, items: Sequence[Item], *, owner: str) -> list[Item] | None:
        """Add items at the end.

        Args:
            id_: The conversation's.
            items: The items, which have ids; one whose id is taken gets another.
            owner: Whose conversation it is.

        Returns:
            The items as they are kept; None if there is no such conversation.
        """
        with self._database.writing_aside() as connection:
            kept = update(conversations).where(self._own(id_, owner))
            if not connection.execute(kept.values(expires_at=self._expiry())).rowcount:
                return None
            return _append(connection, id_, items)

    def remove(self, id_: str, item: str) -> bool:
        """Delete one item; gives whether there was one."""
        rows = conversation_items.c
        with self._database.writing_aside() as connection:
            own = delete(conversation_items).where(rows.conversation == id_, rows.id == item)
            return bool(connection.execute(own).rowcount)

    def begin_turn(self, id_: str, response: str, *, owner: str) -> bool:
        """Take the turn for a response, if nobody has it, or its worker has ended."""
        with self._database.writing_aside() as connection:
            taken = update(conversations).where(self._own(id_, owner), _has_no_turn())
            values = {"turn": response, "worker": self._worker, "expires_at": self._expiry()}
            return bool(connection.execute(taken.values(**values)).rowcount)

    def is_free(self, id_: str, *, owner: str) -> bool | None:
        """Whether the turn can be taken, without taking it; None if there is no such conversation.

        This only reads, so that who waits holds up nobody who writes.
        """
        query = select(_has_no_turn()).where(self._own(id_, owner))
        with self._database.reading() as connection:
            found = connection.execute(query).scalar()
        return None if found is None else bool(found)

    def end_turn(self, id_: str, response: str, items: Sequence[Item]) -> None:
        """Give the turn back, and add what was said in it; nothing if it is others' by now."""
        mine = and_(conversations.c.id == id_, conversations.c.turn == response)
        with self._database.writing_aside() as connection:
            given = update(conversations).where(mine).values(turn=None, expires_at=self._expiry())
            if connection.execute(given).rowcount:
                _append(connection, id_, items)

    def purge(self) -> int:
        """Delete what has expired, and has no turn under way; gives the number of it."""
        old = and_(conversations.c.expires_at <= self._clock(), _has_no_turn())
        with self._database.writing_aside() as connection:
            return connection.execute(delete(conversations).where(old)).rowcount

    def _change(self, id_: str, owner: str, **values: Any) -> bool:
        with self._database.writing_aside() as connection:
            own = update(conversations).where(self._own(id_, owner))
            changed = connection.execute(own.values(**values, expires_at=self._expiry()))
            return bool(changed.rowcount)

    def _own(self, id_: str, owner: str) -> ColumnElement[bool]:
        row = conversations.c
        if not may_be_id(id_):
            return false()
        return and_(row.id == id_, row.owner == owner, row.expires_at > self._clock())

    def _expiry(self) -> float:
        return self._clock() + self._keep_seconds


def _has_no_turn() -> ColumnElement[bool]:
    row = conversations.c
    return or_(row.turn.is_(None), row.worker.not_in(select(workers.c.id)))


def _append(connection: Connection, id_: str, items: Sequence[Item]) -> list[Item]:
    rows = conversation_items.c
    last = select(func.max(rows.position)).where(rows.conversation == id_)
    position = connection.execute(last).scalar()
    whole = _with_own_ids(connection, id_, items)
    added = [
        {"conversation": id_, "position": index, "id": item["id"], "data": item}
        for index, item in enumerate(whole, 0 if position is None else position + 1)
    ]
    if added:
        connection.execute(insert(conversation_items), added)
    return whole


def _with_own_ids(connection: Connection, id_: str, items: Iterable[Item]) -> list[Item]:
    rows = conversation_items.c
    sent = list(items)
    same = rows.id.in_([item["id"] for item in sent])
    query = select(rows.id).where(rows.conversation == id_, same)
    taken = set(connection.execute(query).scalars())
    whole: list[Item] = []
    for item in sent:
        key: str = item["id"]
        if key in taken:
            key = f"{key.partition('_')[0][:16]}_{secrets.token_hex(16)}"
        taken.add(key)
        whole.append({**item, "id": key})
    return whole


def _conversation(row: Row[Any]) -> Conversation:
    return Conversation(**{name: getattr(row, name) for name in Conversation.__slots__})
