"""Has one turn of a conversation made at a time, on whichever worker."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import TypeVar

import anyio
import anyio.abc
import anyio.to_thread

from hayserve.errors import NotFound, StorageUnavailable, TooBusy, TurnTaken
from hayserve.kept.conversations import Conversation, Conversations, Item
from hayserve.kept.responses import Kept
from hayserve.protocols.openai_responses.kept_items import kept_items
from hayserve.protocols.openai_responses.response_object import Response

LONGEST_WAIT_SECONDS = 300.0
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.02, 0.5
RETRY_SECONDS = 1.0
AT_ONCE = 8
# How many threads look whether turns are free. Who has other things to ask does not wait for them.
LOOKS_AT_ONCE = 2
# How many may wait for their turn in one conversation, on each worker.
MOST_WAITING = 16

T = TypeVar("T")


class _Line:
    """Those who wait for their turn in one conversation, in the order in which they came."""

    def __init__(self) -> None:
        self._waiting: list[anyio.Event] = []

    def __len__(self) -> int:
        return len(self._waiting)

    @asynccontextmanager
    async def place(self) -> AsyncGenerator[None]:
        """Wait until one is first; the next one is first when the block ends."""
        mine = anyio.Event()
        self._waiting.append(mine)
        try:
            if self._waiting[0] is not mine:
                await mine.wait()
            yield
        finally:
            self._waiting.remove(mine)
            if self._waiting:
                self._waiting[0].set()


class Turns:
    """The conversations, and whose turn it is in each.

    Of those who wait for their turn in one conversation, only the first looks whether it is free.

    Args:
        kept: Where they are.
        look: Takes workers that have died off the list, so that nobody waits for them; it may
            block.
    """

    def __init__(self, kept: Conversations, *, look: Callable[[], object] = lambda: None) -> None:
        self.kept = kept
        self._look = look
        self._limiter = anyio.CapacityLimiter(AT_ONCE)
        self._looks_limiter = anyio.CapacityLimiter(LOOKS_AT_ONCE)
        self._lines: dict[str, _Line] = {}
        # The responses whose turn is given back by whoever records them.
        self._recorded: set[str] = set()
        self._tasks: anyio.abc.TaskGroup | None = None

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Give turns back later, while the block lasts, that could not be given back at once."""
        async with anyio.create_task_group() as tasks:
            self._tasks = tasks
            try:
                yield
            finally:
                self._tasks = None
                tasks.cancel_scope.cancel()

    async def find(self, id_: str, *, owner: str) -> Conversation:
        """A conversation.

        Raises:
            NotFound: There is none of that id, or it is somebody else's.
        """
        found = await self.call(partial(self.kept.find, id_, owner=owner))
        if found is None:
            raise not_kept(id_)
        return found

    async def begin(self, id_: str, response: str, *, owner: str, waits: bool) -> list[Item]:
        """Take the turn in a conversation for a response; gives the items so far.

        Args:
            id_: The conversation's.
            response: The response's id.
            owner: Whose conversation it is.
            waits: Whether to wait while it is another's turn.

        Raises:
            NotFound: As from `find`.
            TurnTaken: It is another's turn, and was for as long as this may wait.
            TooBusy: `MOST_WAITING` wait for their turn in that conversation on this worker.
        """
        take = partial(self._take, id_, response, owner=owner)
        await self.find(id_, owner=owner)
        # Who waits lets those be first who wait already.
        if (waits and id_ in self._lines) or not await self.call(take):
            if not waits:
                raise _taken(id_)
            is_free = partial(self._is_free, id_, owner=owner)
            with anyio.move_on_after(LONGEST_WAIT_SECONDS) as patience:
                await self._wait(id_, is_free, take)
            if patience.cancelled_caught:
                raise _taken(id_)
        return await self.call(partial(self.kept.items, id_))

    def waiting(self, id_: str) -> int:
        """How many wait for their turn in a conversation, on this worker."""
        return len(self._lines.get(id_, ()))

    async def say(self, kept: Kept, response: Response) -> None:
        """End the turn of a response, if it has one, with what was said in it.

        Nothing counts as said of a response that came to nothing.

        Args:
            kept: The response.
            response: The response object, as it is kept.
        """
        if kept.conversation is None:
            return
        has_said = response["status"] in ("completed", "incomplete")
        said = [*kept.input, *response["output"]] if has_said else []
        await self.end(kept.conversation, kept.id, kept_items(said, run_id=kept.run))

    async def end(self, id_: str, response: str, items: Sequence[Item]) -> None:
        """Give the turn back, and add what was said in it; later, if the database is gone."""
        self._recorded.discard(response)
        give = partial(self.kept.end_turn, id_, response, items)
        with anyio.CancelScope(shield=True):
            if await self._is_done(give):
                return
        # It would be taken for as long as this worker lives.
        if self._tasks is not None:
            self._tasks.start_soon(self._end_later, give)

    def leave_to_recorder(self, kept: Kept) -> None:
        """Let `given_back` know that the turn goes on, whatever becomes of the request."""
        if kept.conversation is not None:
            self._recorded.add(kept.id)

    @asynccontextmanager
    async def given_back(self, id_: str | None, response: str) -> AsyncGenerator[None]:
        """Give the turn back if the block raises."""
        try:
            yield
        except BaseException:
            if id_ is not None and response not in self._recorded:
                await self.end(id_, response, [])
            raise

    async def call(self, function: Callable[[], T]) -> T:
        """Do in a thread what blocks."""
        return await anyio.to_thread.run_sync(function, limiter=self._limiter)

    def _take(self, id_: str, response: str, *, owner: str) -> bool:
        take = partial(self.kept.begin_turn, id_, response, owner=owner)
        if take():
            return True
        self._look()
        return take()

    async def _wait(self, id_: str, is_free: Callable[[], bool], take: Callable[[], bool]) -> None:
        """Take the turn when it is free and all who wait here already have had theirs."""
        line = self._lines.setdefault(id_, _Line())
        if len(line) >= MOST_WAITING:
            raise TooBusy(
                f"{MOST_WAITING} requests wait for their turn in the conversation {id_!r}.",
                hint="Send the request again when some of them have been answered.",
            )
        try:
            async with line.place():
                pause = FIRST_PAUSE_SECONDS
                while not (await self._look_at(is_free) and await self.call(take)):
                    await anyio.sleep(pause)
                    pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
        finally:
            if not line:
                del self._lines[id_]

    async def _look_at(self, is_free: Callable[[], bool]) -> bool:
        return await anyio.to_thread.run_sync(is_free, limiter=self._looks_limiter)

    def _is_free(self, id_: str, *, owner: str) -> bool:
        self._look()
        is_free = self.kept.is_free(id_, owner=owner)
        if is_free is None:
            raise not_kept(id_)
        return is_free

    async def _end_later(self, give: Callable[[], object]) -> None:
        while not await self._is_done(give):  # noqa: ASYNC110 - nothing else tells
            await anyio.sleep(RETRY_SECONDS)

    async def _is_done(self, write: Callable[[], object]) -> bool:
        return await self.call(partial(_is_written, write))


def _is_written(write: Callable[[], object]) -> bool:
    try:
        write()
    except StorageUnavailable:  # which is logged
        return False
    return True


def _taken(id_: str) -> TurnTaken:
    return TurnTaken(
        f"Another response is being made in the conversation {id_!r}.",
        hint="Send the request again when it has ended, or with `x-on-turn-taken: wait`.",
        param="conversation",
    )


def not_kept(id_: str) -> NotFound:
    """What is said of a conversation that is not there, or somebody else's."""
    return NotFound(
        f"No conversation {id_!r} is kept.",
        hint="It was deleted, has expired, or belongs to another key.",
        param="conversation",
    )
