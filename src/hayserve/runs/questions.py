"""The questions that workers ask each other about their runs, as they stand in the database."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

from sqlalchemy import delete, insert, select

from hayserve.storage.database import Database, upsert
from hayserve.storage.tables import questions, replies, workers

Kind: TypeAlias = Literal["list", "cancel"]


@dataclass(frozen=True, slots=True)
class Question:
    """What a worker is asked.

    Args:
        id: No other question ever has it.
        kind: What is to be done.
        subject: With what.
    """

    id: int
    kind: Kind
    subject: Mapping[str, Any]


class Questions:
    """Questions and replies of one worker. The methods block; call them in threads.

    Args:
        database: Where all workers see them.
        worker: The id of this one.
    """

    def __init__(self, database: Database, *, worker: str) -> None:
        self._database = database
        self._worker = worker

    def ask(self, kind: Kind, subject: Mapping[str, Any]) -> int:
        """Put a question to all other workers; gives its id.

        What was asked by workers that are not on the list any more is deleted.
        """
        row = {"asker": self._worker, "kind": kind, "subject": dict(subject)}
        left_behind = questions.c.asker.not_in(select(workers.c.id))
        with self._database.writing() as connection:
            connection.execute(delete(questions).where(left_behind))
            asked = connection.execute(insert(questions).values(**row).returning(questions.c.id))
            number: int = asked.scalar_one()
            return number

    def of_others(self) -> Sequence[Question]:
        """What the other workers ask, answered or not; none of what a later program may ask."""
        query = (
            select(questions)
            .where(questions.c.asker != self._worker, questions.c.kind.in_(get_args(Kind)))
            .order_by(questions.c.id)
        )
        with self._database.reading() as connection:
            return [Question(row.id, row.kind, row.subject) for row in connection.execute(query)]

    def reply(self, question: int, body: Mapping[str, Any]) -> None:
        """Answer a question, unless nobody waits for it any more."""
        row = {"question": question, "worker": self._worker, "body": dict(body)}
        is_open = select(questions.c.id).where(questions.c.id == question)
        with self._database.writing() as connection:
            if connection.execute(is_open).first() is not None:
                upsert(connection, replies, row, keys=["question", "worker"])

    def replies(self, question: int) -> Mapping[str, Mapping[str, Any]]:
        """What was answered so far, by the id of the worker."""
        query = select(replies.c.worker, replies.c.body).where(replies.c.question == question)
        with self._database.reading() as connection:
            return {row.worker: row.body for row in connection.execute(query)}

    def withdraw(self, question: int) -> None:
        """Delete a question and its replies."""
        with self._database.writing() as connection:
            connection.execute(delete(questions).where(questions.c.id == question))
