"""Responses are kept for whoever asked for them, on SQLite and on PostgreSQL."""

from dataclasses import replace

import pytest

from hayserve.deployments.members import Members
from hayserve.kept.responses import Kept, Responses
from hayserve.storage.database import Database
from kept.conftest import Clock
from kept.frames import frames_of

KEEP_SECONDS = 100
ONE = Kept(
    id="resp_1",
    owner="me",
    run="r1",
    worker="w1",
    previous=None,
    conversation=None,
    input=[{"id": "msg_1", "type": "message"}],
    body={"id": "resp_1", "status": "in_progress"},
)
BODY = {"id": "resp_1", "status": "completed"}


@pytest.fixture
def responses(database: Database, clock: Clock) -> Responses:
    return Responses(database, keep_seconds=KEEP_SECONDS, clock=clock)


def frame(number: int) -> bytes:
    return b'event: e\ndata: {"sequence_number":%d}\n\n' % number


def test_a_response_is_found_by_its_owner(responses: Responses) -> None:
    responses.add(ONE)
    assert responses.find("resp_1", owner="me") == ONE
    assert responses.find("resp_1", owner="you") is None
    assert responses.find("resp_2", owner="me") is None


def test_a_response_has_one_last_word(responses: Responses) -> None:
    responses.add(ONE)
    assert responses.end("resp_1", BODY)
    assert not responses.end("resp_1", {"status": "failed"})
    assert responses.find("resp_1", owner="me") == replace(ONE, body=BODY, has_ended=True)


def test_events_are_found_from_any_of_them_on(responses: Responses) -> None:
    responses.add(ONE)
    assert frames_of(responses, "resp_1") == []
    responses.append("resp_1", [frame(0), frame(1), frame(2)], number=0)
    responses.append("resp_1", [frame(3), frame(4)], number=3)
    every = [frame(number) for number in range(5)]
    assert [frames_of(responses, "resp_1", start=start) for start in range(7)] == [
        every[start:] for start in range(7)
    ]


def test_events_are_kept_once_however_often_they_are_given(responses: Responses) -> None:
    every = [frame(number) for number in range(4)]
    responses.add(ONE)
    assert responses.append("resp_1", every[:2], number=0)
    assert responses.append("resp_1", every[:2], number=0)
    assert responses.append("resp_1", every[1:3], number=1)
    assert responses.end("resp_1", BODY, frames=every[2:], number=2)
    assert frames_of(responses, "resp_1") == every


def test_nothing_is_added_to_what_has_ended_or_was_deleted(responses: Responses) -> None:
    responses.add(replace(ONE, id="deleted"))
    responses.delete("deleted", owner="me")
    assert not responses.append("deleted", [frame(0)], number=0)
    assert not responses.end("deleted", BODY, frames=[frame(0)])
    responses.add(replace(ONE, has_ended=True))
    assert not responses.append("resp_1", [frame(0)], number=0)
    assert frames_of(responses, "resp_1") == []


def test_the_stream_of_a_lost_response_ends_with_the_number_that_follows(
    responses: Responses,
) -> None:
    responses.add(ONE)
    responses.append("resp_1", [frame(0), frame(1)], number=0)
    assert responses.lose("resp_1", {"status": "failed"}, last=frame)
    assert not responses.lose("resp_1", {"status": "failed"}, last=frame)
    assert frames_of(responses, "resp_1", start=1) == [frame(1), frame(2)]
    found = responses.find("resp_1", owner="me")
    assert found is not None
    assert (found.has_ended, found.body) == (True, {"status": "failed"})


@pytest.mark.parametrize("id_", ["resp_\0", "resp_\ud800", "resp_ü"])
def test_what_can_be_no_id_is_not_found(responses: Responses, id_: str) -> None:
    assert responses.find(id_, owner="me") is None


def test_a_response_is_deleted_with_its_events(responses: Responses) -> None:
    responses.add(ONE)
    responses.append("resp_1", [frame(0)], number=0)
    assert not responses.delete("resp_1", owner="you")
    assert responses.delete("resp_1", owner="me")
    assert not responses.delete("resp_1", owner="me")
    assert responses.find("resp_1", owner="me") is None
    assert frames_of(responses, "resp_1") == []


def test_a_response_is_kept_for_its_time_from_its_last_word_on(
    responses: Responses, clock: Clock
) -> None:
    responses.add(ONE)
    clock.now += KEEP_SECONDS
    assert responses.find("resp_1", owner="me") == ONE, "it is still being made"
    responses.end("resp_1", BODY)
    clock.now += KEEP_SECONDS - 1
    assert responses.find("resp_1", owner="me") is not None
    clock.now += 1
    assert responses.find("resp_1", owner="me") is None


def test_what_has_expired_is_deleted_unless_it_is_under_way(
    database: Database, responses: Responses, clock: Clock
) -> None:
    members = Members(database)
    members.join()
    responses.add(replace(ONE, id="ended", has_ended=True))
    responses.add(replace(ONE, id="lost", worker="gone"))
    responses.add(replace(ONE, id="under way", worker=members.id))
    assert responses.purge() == 0
    clock.now += KEEP_SECONDS
    assert responses.purge() == 2
    assert responses.find("under way", owner="me") is not None
    members.leave()
