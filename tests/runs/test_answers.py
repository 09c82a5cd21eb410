"""Keys and answers are kept for all workers, on SQLite and on PostgreSQL."""

from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from hayserve.deployments.members import Members
from hayserve.runs.answers import Answer, Answers, Asked, Found
from hayserve.storage.database import Database

KEEP_SECONDS = 100
FIRST = Asked(key="k", fingerprint="f", run="r1")
AGAIN = replace(FIRST, run="r2")
ANSWER = Answer(200, [("content-type", "text/plain"), ("x", "é")], b"\x00\xff")


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def database(database_url: str) -> Generator[Database]:
    database = Database(database_url)
    database.open()
    yield database
    database.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def answers(database: Database, clock: Clock) -> Answers:
    return Answers(database, worker="w1", keep_seconds=KEEP_SECONDS, clock=clock)


@pytest.fixture
def elsewhere(database: Database, clock: Clock) -> Answers:
    return Answers(database, worker="w2", keep_seconds=KEEP_SECONDS, clock=clock)


def test_a_key_is_taken_by_the_first(answers: Answers, elsewhere: Answers) -> None:
    assert answers.find(FIRST) is None
    assert answers.claim(FIRST) is None
    assert elsewhere.claim(AGAIN) == Found("f", "w1", "r1", None)
    assert elsewhere.claim(replace(AGAIN, key="another")) is None


def test_of_many_at_the_same_time_one_gets_it(database: Database) -> None:
    other = Database(database.address.url.render_as_string(hide_password=False))
    other.open()
    stores = [Answers(each, worker="w", keep_seconds=100) for each in (database, other)]

    def claim(asked: Asked) -> Found | None:
        return stores[ord(asked.run) % 2].claim(asked)

    with ThreadPoolExecutor(8) as threads:
        for key in map(str, range(20)):
            tries = [Asked(key, "f", run) for run in "abcdefgh"]
            found = list(threads.map(claim, tries))

            [winner] = [one.run for one, lost in zip(tries, found, strict=True) if lost is None]
            assert {lost.run for lost in found if lost is not None} == {winner}
    other.close()


def test_what_was_answered_is_found_until_it_expires(answers: Answers, clock: Clock) -> None:
    answers.claim(FIRST)
    clock.now += KEEP_SECONDS  # the run took long; it counts from its end
    assert answers.claim(AGAIN) == Found("f", "w1", "r1", None)
    answers.keep(FIRST, ANSWER)
    clock.now += KEEP_SECONDS - 1
    assert answers.claim(AGAIN) == Found("f", "w1", "r1", ANSWER)

    clock.now += 1

    assert answers.claim(replace(AGAIN, fingerprint="g")) is None
    assert answers.find(FIRST) == Found("g", "w1", "r2", None)


def test_of_an_answer_that_was_too_large_the_status_is_known(answers: Answers) -> None:
    answers.claim(FIRST)
    answers.keep(FIRST, replace(ANSWER, body=None))

    found = answers.find(AGAIN)

    assert found is not None
    assert found.answer == replace(ANSWER, body=None)


def test_a_key_that_was_given_back_is_free(answers: Answers) -> None:
    answers.claim(FIRST)
    answers.release(FIRST)

    assert answers.find(FIRST) is None
    assert answers.claim(AGAIN) is None


def test_a_key_that_was_taken_over_is_not_the_firsts_any_more(
    answers: Answers, elsewhere: Answers
) -> None:
    answers.claim(FIRST)
    found = elsewhere.claim(AGAIN)
    assert found is not None
    assert elsewhere.take_over(AGAIN, found)

    assert not answers.take_over(replace(FIRST, run="r3"), found)
    answers.keep(FIRST, ANSWER)
    answers.release(FIRST)

    assert answers.find(FIRST) == Found("f", "w2", "r2", None)


def test_what_has_ended_is_neither_taken_over_nor_given_back(answers: Answers) -> None:
    answers.claim(FIRST)
    answers.keep(FIRST, ANSWER)
    found = answers.find(AGAIN)
    assert found is not None

    assert not answers.take_over(AGAIN, found)
    answers.release(FIRST)

    assert answers.find(AGAIN) == found


def test_what_has_expired_is_deleted(database: Database, clock: Clock) -> None:
    member = Members(database)
    member.join()
    alive, dead = (
        Answers(database, worker=worker, keep_seconds=KEEP_SECONDS, clock=clock)
        for worker in (member.id, "dead")
    )
    for key in ("ended", "under way"):
        alive.claim(replace(FIRST, key=key))
    alive.keep(replace(FIRST, key="ended"), ANSWER)
    dead.claim(replace(FIRST, key="left behind"))
    assert alive.purge() == 0
    clock.now += KEEP_SECONDS
    alive.claim(replace(FIRST, key="later"))

    assert alive.purge() == 2

    keys = ("ended", "left behind", "under way", "later")
    found = [alive.find(replace(FIRST, key=key)) is not None for key in keys]
    assert found == [False, False, True, True]


def test_a_key_that_is_given_back_while_it_is_asked_for_is_taken(database: Database) -> None:
    class Released(Answers):
        def find(self, asked: Asked) -> Found | None:
            self.release(FIRST)
            return super().find(asked)

    answers = Released(database, worker="w1", keep_seconds=KEEP_SECONDS)
    assert answers.claim(FIRST) is None

    assert answers.claim(AGAIN) is None
