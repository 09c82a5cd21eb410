"""Runs each request that came with an Idempotency-Key once, however often it is sent."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import TypeAlias, TypeVar

import anyio
import anyio.abc
import anyio.to_thread

from hayserve.errors import IdempotencyMismatch, RunFailed, StorageUnavailable
from hayserve.runs.answers import Answer, Answers, Asked, Found

PURGE_SECONDS = 3600.0
RETRY_SECONDS = 1.0
FIRST_PAUSE_SECONDS = 0.02
LONGEST_PAUSE_SECONDS = 0.5
# So many of the connections to the database are left to others.
AT_ONCE = 8

T = TypeVar("T")
HasLeft: TypeAlias = Callable[[], Awaitable[None]]


class Left(Exception):
    """The caller has left while it waited for the answer to an earlier request."""


class Once:
    """Says of a request with a key whether it is to be run, or what was answered before.

    Args:
        answers: What was answered, and what is under way.
        is_alive: Whether a worker lives, by its id; it may block.
    """

    def __init__(self, answers: Answers, *, is_alive: Callable[[str], bool]) -> None:
        self._answers = answers
        self._is_alive = is_alive
        self._limiter = anyio.CapacityLimiter(AT_ONCE)
        # Those of this worker, by the ids of their runs, from before others can see the claim.
        self._under_way: dict[str, anyio.Event] = {}
        self._tasks: anyio.abc.TaskGroup | None = None

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Delete what has expired, every hour for as long as the block lasts."""
        async with anyio.create_task_group() as tasks:
            self._tasks = tasks
            tasks.start_soon(self._purge)
            try:
                yield
            finally:
                tasks.cancel_scope.cancel()

    async def ask(self, asked: Asked, *, has_left: HasLeft) -> Answer | None:
        """The answer to the same request before, for which this waits if it is under way.

        Args:
            asked: The request.
            has_left: Returns when the caller does not wait any more.

        Returns:
            None if the request is to be run: its answer then goes to `keep`, or `release` is
            called.

        Raises:
            IdempotencyMismatch: The key came with another request before.
            RunFailed: The answer was too large to be kept.
            StorageUnavailable: The database does not answer, so that nobody knows.
            Left: The caller has left.
        """
        self._under_way[asked.run] = anyio.Event()
        try:
            found = await self._ended(asked, has_left)
        except BaseException:
            await self.release(asked)
            raise
        if found is None:
            return None
        self._forget(asked)
        return _answer_in(found, asked)

    async def keep(self, asked: Asked, answer: Answer) -> None:
        """Give `answer` to all who ask for the same."""
        await self._end(asked, partial(self._answers.keep, asked, answer))

    async def release(self, asked: Asked) -> None:
        """Let the next who asks for the same run it."""
        await self._end(asked, partial(self._answers.release, asked))

    async def _ended(self, asked: Asked, has_left: HasLeft) -> Found | None:
        """What came of the key, or belongs to another request; None if it is taken for this one."""
        found = await self._call(partial(self._answers.claim, asked))
        pause = FIRST_PAUSE_SECONDS
        while found is not None:
            if found.answer is not None or found.fingerprint != asked.fingerprint:
                return found
            if await self._is_left_behind(found):
                if await self._call(partial(self._answers.take_over, asked, found)):
                    return None
            else:
                await self._pause(found, pause, has_left)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
            find = partial(self._answers.find, asked)
            claim = partial(self._answers.claim, asked)
            found = await self._call(find) or await self._call(claim)
        return None

    async def _is_left_behind(self, found: Found) -> bool:
        """Whether nobody is there any more who would end the run."""
        if found.worker == self._answers.worker:
            return found.run not in self._under_way
        return not await self._call(partial(self._is_alive, found.worker))

    async def _pause(self, found: Found, seconds: float, has_left: HasLeft) -> None:
        """Wait until the run has ended; for one of another worker, only so many seconds."""
        loop, ended = asyncio.get_running_loop(), self._under_way.get(found.run)
        leaving = loop.create_task(_awaited(has_left()))
        ending = loop.create_task(ended.wait() if ended else anyio.sleep(seconds))
        try:
            await asyncio.wait([leaving, ending], return_when=asyncio.FIRST_COMPLETED)
            if leaving.done():
                raise Left
        finally:
            leaving.cancel()
            ending.cancel()

    async def _end(self, asked: Asked, write: Callable[[], object]) -> None:
        with anyio.CancelScope(shield=True):
            if await self._is_done(write):
                self._forget(asked)
                return
        # Others would wait for it for as long as this worker lives.
        assert self._tasks is not None
        self._tasks.start_soon(self._end_later, asked, write)

    async def _end_later(self, asked: Asked, write: Callable[[], object]) -> None:
        while not await self._is_done(write):  # noqa: ASYNC110 - nothing else tells
            await anyio.sleep(RETRY_SECONDS)
        self._forget(asked)

    def _forget(self, asked: Asked) -> None:
        self._under_way.pop(asked.run).set()

    async def _purge(self) -> None:
        while True:
            await self._is_done(self._answers.purge)
            await anyio.sleep(PURGE_SECONDS)

    async def _is_done(self, write: Callable[[], object]) -> bool:
        return await self._call(partial(_is_written, write))

    async def _call(self, function: Callable[[], T]) -> T:
        return await anyio.to_thread.run_sync(function, limiter=self._limiter)


def _is_written(write: Callable[[], object]) -> bool:
    try:
        write()
    except StorageUnavailable:  # which is logged
        return False
    return True


async def _awaited(work: Awaitable[None]) -> None:
    await work


def _answer_in(found: Found, asked: Asked) -> Answer:
    if found.fingerprint != asked.fingerprint:
        raise IdempotencyMismatch(
            "This Idempotency-Key came with another request before.",
            hint="Send the same request as before, or a new key.",
        )
    assert found.answer is not None
    if found.answer.body is None:
        raise RunFailed(
            f"This request was run before, as {found.run!r}, and its answer was too large to be "
            "kept.",
            hint="Send a new key to run it again.",
        )
    return found.answer
