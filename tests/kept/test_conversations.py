"""Conversations are kept in order, one turn at a time, on SQLite and on PostgreSQL."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from hayserve.deployments.members import Members
from hayserve.kept.conversations import Conversation, Conversations
from hayserve.storage.database import Database
from kept.conftest import Clock

KEEP_SECONDS = 100
ONE = Conversation("conv_1", "me", {"topic": "x"}, 1_000_000.0)
ITEMS = [{"id": f"msg_{number}", "type": "message"} for number in range(4)]


@pytest.fixture
def members(database: Database) -> Members:
    members = Members(database)
    members.join()
    return members


@pytest.fixture
def kept(database: Database, members: Members, clock: Clock) -> Conversations:
    return Conversations(database, worker=members.id, keep_seconds=KEEP_SECONDS, clock=clock)


def test_a_conversation_is_its_owners(kept: Conversations) -> None:
    kept.add(ONE, ITEMS)
    assert kept.find("conv_1", owner="me") == ONE
    assert kept.find("conv_1", owner="you") is None
    assert not kept.delete("conv_1", owner="you")
    assert not kept.note("conv_1", {}, owner="you")
    assert not kept.append("conv_1", ITEMS, owner="you")
    assert not kept.begin_turn("conv_1", "resp_1", owner="you")


def test_items_stay_in_order(kept: Conversations) -> None:
    kept.add(ONE, [])
    assert kept.items("conv_1") == []
    assert kept.append("conv_1", ITEMS[:1], owner="me")
    assert kept.append("conv_1", ITEMS[1:3], owner="me")
    assert kept.remove("conv_1", "msg_1")
    assert not kept.remove("conv_1", "msg_1")
    assert kept.append("conv_1", ITEMS[3:], owner="me")
    assert kept.items("conv_1") == [ITEMS[0], ITEMS[2], ITEMS[3]]


def test_an_item_whose_id_is_taken_gets_another(kept: Conversations) -> None:
    first = kept.add(ONE, [ITEMS[0], {**ITEMS[0], "text": "again"}])
    later = kept.append("conv_1", [{**ITEMS[0], "text": "later"}], owner="me")
    assert later is not None
    found = kept.items("conv_1")
    assert found == [*first, *later]
    assert found[0] == ITEMS[0]
    assert [item.get("text") for item in found] == [None, "again", "later"]
    assert len({item["id"] for item in found}) == 3
    assert all(len(item["id"]) == 36 and item["id"].startswith("msg_") for item in found[1:])


def test_nothing_can_be_added(kept: Conversations) -> None:
    assert kept.add(ONE, []) == []
    assert kept.append("conv_1", [], owner="me") == []


@pytest.mark.parametrize("id_", ["conv_\0", "conv_\ud800"])
def test_what_can_be_no_id_is_not_found(kept: Conversations, id_: str) -> None:
    assert kept.find(id_, owner="me") is None
    assert kept.append(id_, ITEMS, owner="me") is None


def test_what_is_noted_is_replaced(kept: Conversations) -> None:
    kept.add(ONE, [])
    assert kept.note("conv_1", {"topic": "y"}, owner="me")
    found = kept.find("conv_1", owner="me")
    assert found is not None
    assert found.metadata == {"topic": "y"}


def test_a_conversation_is_deleted_with_its_items(kept: Conversations) -> None:
    kept.add(ONE, ITEMS)
    assert kept.delete("conv_1", owner="me")
    assert kept.find("conv_1", owner="me") is None
    assert kept.items("conv_1") == []


def test_one_of_many_has_the_turn(kept: Conversations) -> None:
    kept.add(ONE, ITEMS[:1])

    def take(number: int) -> bool:
        return kept.begin_turn("conv_1", f"resp_{number}", owner="me")

    with ThreadPoolExecutor(8) as threads:
        taken = list(threads.map(take, range(16)))
    assert taken.count(True) == 1
    kept.end_turn("conv_1", f"resp_{taken.index(True)}", ITEMS[1:2])
    kept.end_turn("conv_1", f"resp_{taken.index(True)}", ITEMS[2:])
    assert kept.items("conv_1") == ITEMS[:2]
    assert kept.begin_turn("conv_1", "resp_x", owner="me")


def test_a_turn_whose_worker_is_gone_is_free(
    database: Database, kept: Conversations, clock: Clock
) -> None:
    gone = Conversations(database, worker="gone", keep_seconds=KEEP_SECONDS, clock=clock)
    kept.add(ONE, [])
    assert gone.begin_turn("conv_1", "resp_1", owner="me")
    assert kept.begin_turn("conv_1", "resp_2", owner="me")
    gone.end_turn("conv_1", "resp_1", ITEMS)
    assert kept.items("conv_1") == []


def test_a_conversation_is_kept_for_its_time_from_its_last_change_on(
    kept: Conversations, clock: Clock
) -> None:
    kept.add(ONE, [])
    clock.now += KEEP_SECONDS - 1
    assert kept.append("conv_1", ITEMS, owner="me")
    clock.now += KEEP_SECONDS - 1
    assert kept.purge() == 0
    assert kept.find("conv_1", owner="me") is not None
    clock.now += 1
    assert kept.find("conv_1", owner="me") is None
    assert kept.purge() == 1


def test_a_conversation_does_not_expire_while_a_response_is_made_in_it(
    database: Database, kept: Conversations, clock: Clock
) -> None:
    gone = Conversations(database, worker="gone", keep_seconds=KEEP_SECONDS, clock=clock)
    kept.add(ONE, [])
    kept.add(replace(ONE, id="conv_2"), [])
    assert kept.begin_turn("conv_1", "resp_1", owner="me")
    assert gone.begin_turn("conv_2", "resp_2", owner="me")
    clock.now += KEEP_SECONDS
    assert kept.purge() == 1
    kept.end_turn("conv_1", "resp_1", ITEMS)
    assert kept.find("conv_1", owner="me") is not None
    assert kept.items("conv_1") == ITEMS


def test_whether_a_turn_is_free_is_seen_without_taking_it(kept: Conversations) -> None:
    kept.add(ONE, [])
    assert kept.is_free("conv_1", owner="me") is True
    assert kept.is_free("conv_1", owner="you") is None
    assert kept.begin_turn("conv_1", "resp_1", owner="me")
    assert kept.is_free("conv_1", owner="me") is False
