"""One response at a time is made in a conversation, and its turn ends whatever happens."""

from functools import partial
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from sqlalchemy import event

from hayserve.errors import NotFound, StorageUnavailable, TooBusy, TurnTaken
from hayserve.kept.conversations import Conversation
from hayserve.kept.responses import Kept
from hayserve.protocols.openai_responses import turns as turns_module
from protocols.openai_responses.serving import Worker, serving_pair, serving_worker

pytestmark = pytest.mark.anyio

ONE = Conversation("conv_1", "me", {}, 1_000_000.0)
ITEMS: list[dict[str, Any]] = [{"id": f"msg_{number}"} for number in range(3)]
SAID = Kept(
    id="resp_1",
    owner="me",
    run="a" * 24,
    worker="w",
    previous=None,
    conversation="conv_1",
    input=[{"id": "msg_in", "type": "message", "role": "user", "content": "Hi"}],
    body={"id": "resp_1", "object": "response"},
)


async def take(worker: Worker, response: str, *, waits: bool = False) -> list[Any]:
    return await worker.turns.begin("conv_1", response, owner="me", waits=waits)


async def settled(worker: Worker, count: int) -> None:
    """Return when the conversation has so many items."""
    with anyio.fail_after(10):
        while len(worker.conversations.items("conv_1")) != count:  # noqa: ASYNC110 - nothing else tells
            await anyio.sleep(0.01)


async def test_who_takes_the_turn_is_given_what_was_said() -> None:
    async with serving_worker() as worker:
        worker.conversations.add(ONE, ITEMS)
        assert await take(worker, "resp_1") == ITEMS


async def test_a_second_response_is_refused_on_any_worker() -> None:
    async with serving_pair() as (one, two):
        one.conversations.add(ONE, [])
        await take(one, "resp_1")
        for worker in (one, two):
            with pytest.raises(TurnTaken, match="'conv_1'"):
                await take(worker, "resp_2")
        await one.turns.end("conv_1", "resp_1", ITEMS)
        assert await take(two, "resp_2") == ITEMS


async def test_a_second_response_waits_if_it_may() -> None:
    async with serving_pair() as (one, two):
        one.conversations.add(ONE, [])
        await take(one, "resp_1")
        given: list[Any] = []

        async def wait() -> None:
            given.extend(await take(two, "resp_2", waits=True))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            await anyio.sleep(0.1)
            assert given == []
            await one.turns.end("conv_1", "resp_1", ITEMS)
        assert given == ITEMS


async def test_nobody_waits_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns_module, "LONGEST_WAIT_SECONDS", 0.05)
    async with serving_worker() as worker:
        worker.conversations.add(ONE, [])
        await take(worker, "resp_1")
        with pytest.raises(TurnTaken):
            await take(worker, "resp_2", waits=True)


async def test_nobody_waits_for_what_was_deleted() -> None:
    async with serving_worker() as worker:
        worker.conversations.add(ONE, [])
        await take(worker, "resp_1")

        async def wait() -> None:
            with pytest.raises(NotFound):
                await take(worker, "resp_2", waits=True)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            await anyio.sleep(0.05)
            worker.conversations.delete("conv_1", owner="me")


async def test_the_turn_of_a_worker_that_has_died_is_free() -> None:
    async with serving_pair() as (one, two):
        one.conversations.add(ONE, [])
        await take(one, "resp_1")
        one.die()
        await take(two, "resp_2")
        await one.turns.end("conv_1", "resp_1", ITEMS)
        assert one.conversations.items("conv_1") == []


async def test_somebody_elses_conversation_is_not_found() -> None:
    async with serving_worker() as worker:
        worker.conversations.add(ONE, [])
        with pytest.raises(NotFound) as refused:
            await worker.turns.begin("conv_1", "resp_1", owner="you", waits=True)
        assert refused.value.param == "conversation"


async def fail_with_the_turn(worker: Worker, error: Exception, *, recorded: bool) -> None:
    async with worker.turns.given_back("conv_1", "resp_1"):
        await take(worker, "resp_1")
        if recorded:
            worker.turns.leave_to_recorder(SAID)
        raise error


async def test_what_fails_gives_its_turn_back() -> None:
    async with serving_worker() as worker:
        worker.conversations.add(ONE, [])
        with pytest.raises(ValueError, match="no model"):
            await fail_with_the_turn(worker, ValueError("no model"), recorded=False)
        assert await take(worker, "resp_2") == []


async def test_what_belongs_to_no_conversation_has_nothing_to_give_back() -> None:
    async with serving_worker() as worker:
        with pytest.raises(ValueError, match="no model"):
            async with worker.turns.given_back(None, "resp_1"):
                raise ValueError("no model")
        async with worker.turns.given_back(None, "resp_1"):
            pass


async def test_a_response_that_goes_on_keeps_its_turn_when_its_request_fails() -> None:
    async with serving_worker() as worker:
        worker.conversations.add(ONE, [])
        with pytest.raises(OSError, match="gone"):
            await fail_with_the_turn(worker, OSError("gone"), recorded=True)
        with pytest.raises(TurnTaken):
            await take(worker, "resp_2")
        await worker.turns.say(SAID, {"status": "completed", "output": [{"type": "message"}]})
        await settled(worker, 2)
        said = [(item["id"], item["role"]) for item in await take(worker, "resp_2")]
        assert said == [("msg_in", "user"), (f"msg_{'a' * 24}f0000001", "user")]


@pytest.mark.parametrize(
    ("status", "count"), [("completed", 1), ("incomplete", 1), ("failed", 0), ("cancelled", 0)]
)
async def test_nothing_counts_as_said_of_what_came_to_nothing(status: str, count: int) -> None:
    async with serving_worker() as worker:
        worker.conversations.add(ONE, [])
        await take(worker, "resp_1")
        await worker.turns.say(SAID, {"status": status, "output": []})
        assert len(await take(worker, "resp_2")) == count


async def test_a_turn_is_given_back_when_the_database_answers_again() -> None:
    async with serving_worker() as worker:
        worker.conversations.add(ONE, [])
        await take(worker, "resp_1")
        with worker.outage():
            await worker.turns.end("conv_1", "resp_1", ITEMS)
            with pytest.raises(StorageUnavailable):
                await take(worker, "resp_2")
        await settled(worker, 3)
        assert await take(worker, "resp_2") == ITEMS


async def test_it_is_tried_until_it_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns_module, "RETRY_SECONDS", 0.01)
    async with serving_worker() as worker:
        worker.conversations.add(ONE, [])
        await take(worker, "resp_1")
        with worker.outage():
            await worker.turns.end("conv_1", "resp_1", ITEMS)
            await anyio.sleep(0.05)
        await settled(worker, 3)


async def test_a_server_that_has_stopped_tries_nothing_again() -> None:
    async with serving_worker() as worker:
        worker.conversations.add(ONE, [])
        await take(worker, "resp_1")
    await worker.turns.end("conv_1", "resp_1", ITEMS)


async def has_waiting(worker: Worker, number: int) -> None:
    with anyio.fail_after(10):
        while worker.turns.waiting("conv_1") < number:  # noqa: ASYNC110 - nothing else tells
            await anyio.sleep(0.01)


async def test_of_those_who_wait_only_the_first_looks() -> None:
    async with serving_worker() as worker:
        worker.conversations.add(ONE, [])
        await take(worker, "resp_0")
        asked: list[str] = []
        taken: list[str] = []

        async def wait(response: str) -> None:
            await take(worker, response, waits=True)
            taken.append(response)
            await worker.turns.end("conv_1", response, [])

        def note(*arguments: Any) -> None:
            asked.append(arguments[2])

        waiting = [f"resp_{number}" for number in range(1, 11)]
        async with anyio.create_task_group() as tasks:
            for response in waiting:
                tasks.start_soon(wait, response)
                await anyio.lowlevel.checkpoint()
            await anyio.sleep(0.5)
            event.listen(worker.database.engine, "before_cursor_execute", note)
            await anyio.sleep(1.0)
            event.remove(worker.database.engine, "before_cursor_execute", note)
            await worker.turns.end("conv_1", "resp_0", [])
        assert sorted(taken) == sorted(waiting)
        looks = [query for query in asked if "FROM conversations" in query]
        assert len(looks) < len(waiting)  # on a slow machine, too: each would look twice


async def test_those_who_wait_have_their_turns_in_the_order_in_which_they_came() -> None:
    async with serving_worker() as worker:
        worker.conversations.add(ONE, [])
        await take(worker, "resp_0")
        taken: list[int] = []

        async def wait(number: int) -> None:
            await take(worker, f"resp_{number}", waits=True)
            taken.append(number)
            await worker.turns.end("conv_1", f"resp_{number}", [])

        async with anyio.create_task_group() as tasks:
            for number in range(1, 6):
                tasks.start_soon(wait, number)
                await has_waiting(worker, number)
            await worker.turns.end("conv_1", "resp_0", [])
        assert taken == [1, 2, 3, 4, 5]


async def test_so_many_wait_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns_module, "MOST_WAITING", 2)
    async with serving_worker() as worker:
        worker.conversations.add(ONE, [])
        await take(worker, "resp_0")
        async with anyio.create_task_group() as tasks:
            for number in (1, 2):
                tasks.start_soon(partial(take, worker, f"resp_{number}", waits=True))
                await has_waiting(worker, number)
            with pytest.raises(TooBusy, match="'conv_1'"):
                await take(worker, "resp_3", waits=True)
            tasks.cancel_scope.cancel()
        await worker.turns.end("conv_1", "resp_0", ITEMS)
        assert await take(worker, "resp_4", waits=True) == ITEMS
