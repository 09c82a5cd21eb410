"""Workers ask each other through the database, on SQLite and on PostgreSQL."""

from collections.abc import Iterator

import pytest
from sqlalchemy import func, insert, select

from hayserve.deployments.members import Members
from hayserve.runs.questions import Question, Questions
from hayserve.storage.database import Database
from hayserve.storage.tables import questions, replies


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    opened = Database(database_url)
    opened.open()
    yield opened
    opened.close()


def worker(database: Database) -> tuple[Members, Questions]:
    members = Members(database)
    members.join()
    return members, Questions(database, worker=members.id)


def count(database: Database) -> list[int]:
    """How many questions and replies there are."""
    with database.reading() as connection:
        return [
            connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in (questions, replies)
        ]


def test_a_question_is_seen_by_the_others_and_answered(database: Database) -> None:
    (_, one), (member, other) = worker(database), worker(database)
    number = one.ask("cancel", {"id": "a\0b"})
    assert one.of_others() == []
    assert other.of_others() == [Question(number, "cancel", {"id": "a\0b"})]
    assert one.replies(number) == {}
    other.reply(number, {"cancelled": True})
    assert one.replies(number) == {member.id: {"cancelled": True}}


def test_an_answer_may_be_given_twice(database: Database) -> None:
    (_, one), (member, other) = worker(database), worker(database)
    number = one.ask("list", {})
    for runs in ([], ["a"]):
        other.reply(number, {"runs": runs})
    assert one.replies(number) == {member.id: {"runs": ["a"]}}


def test_nothing_stays_of_a_question_that_is_withdrawn(database: Database) -> None:
    (_, one), (_, other) = worker(database), worker(database)
    number = one.ask("list", {})
    other.reply(number, {"runs": []})
    one.withdraw(number)
    assert count(database) == [0, 0]
    other.reply(number, {"runs": []})  # it comes too late
    assert count(database) == [0, 0]
    assert one.ask("list", {}) > number


def test_what_the_dead_have_asked_is_deleted(database: Database) -> None:
    (dead, left), (_, one) = worker(database), worker(database)
    left.ask("list", {})
    dead.leave()
    number = one.ask("list", {})
    with database.reading() as connection:
        assert connection.scalars(select(questions.c.id)).all() == [number]


def test_what_a_later_program_asks_is_left_to_others(database: Database) -> None:
    (asker, _), (_, other) = worker(database), worker(database)
    with database.writing() as connection:
        connection.execute(insert(questions).values(asker=asker.id, kind="pause", subject={}))
    assert other.of_others() == []
