"""Who waits for a deployment's end goes on when nobody uses it."""

import anyio
import pytest

from hayserve.deployments.uses import Uses

pytestmark = pytest.mark.anyio


async def test_what_nobody_uses_is_not_waited_for() -> None:
    uses = Uses()
    with anyio.fail_after(0):
        await uses.wait_unused()
    assert uses.count == 0


async def test_every_use_has_to_end_before_the_wait_does() -> None:
    uses = Uses()
    waited: list[str] = []

    async def wait(name: str) -> None:
        await uses.wait_unused()
        waited.append(name)

    async with anyio.create_task_group() as tasks:
        with uses.held():
            uses.take()
            tasks.start_soon(wait, "a")
            tasks.start_soon(wait, "b")
            await anyio.wait_all_tasks_blocked()
            assert uses.count == 2
        await anyio.wait_all_tasks_blocked()
        assert waited == []
        uses.give_back()
    assert waited == ["a", "b"]


async def test_what_is_taken_again_before_the_waiter_looks_is_waited_for_again() -> None:
    uses = Uses()
    uses.take()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(uses.wait_unused)
        await anyio.wait_all_tasks_blocked()
        uses.give_back()
        uses.take()
        await anyio.wait_all_tasks_blocked()
        assert tasks.cancel_scope.cancel_called is False
        uses.give_back()
    assert uses.count == 0


async def test_a_failure_ends_the_use_too() -> None:
    uses = Uses()
    with pytest.raises(ValueError, match="broke"), uses.held():
        raise ValueError("broke")
    assert uses.count == 0
