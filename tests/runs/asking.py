"""Workers that are asked the same more than once, for tests: several in one process."""

import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import anyio

from hayserve.runs.answers import Answer, Answers, Asked
from hayserve.runs.once import Once
from hayserve.storage.database import Database


def everybody_lives(worker: str) -> bool:
    return True


async def stays() -> None:
    """A caller that waits for its answer."""
    await anyio.sleep_forever()


class Worker:
    """One of them. What it runs is noted in `ran` and ends when it is told to."""

    def __init__(self, once: Once, answers: Answers, ran: list[str]) -> None:
        self.once = once
        self.answers = answers
        self._ran = ran

    async def send(self, asked: Asked, *, seconds: float = 0) -> Answer:
        """Answer a request with the id of the run that answered it."""
        answer = await self.once.ask(asked, has_left=stays)
        if answer is None:
            try:
                await anyio.sleep(seconds)
            except BaseException:
                await self.once.release(asked)
                raise
            self._ran.append(asked.run)
            answer = Answer(200, [], asked.run.encode())
            await self.once.keep(asked, answer)
        return answer


@asynccontextmanager
async def worker(
    url: str,
    name: str = "w1",
    *,
    ran: list[str] | None = None,
    is_alive: Callable[[str], bool] = everybody_lives,
    clock: Callable[[], float] = time.time,
) -> AsyncGenerator[Worker]:
    """A worker with a database of its own, as another process would have it."""
    database = Database(url)
    await anyio.to_thread.run_sync(database.open)
    answers = Answers(database, worker=name, keep_seconds=1000, clock=clock)
    once = Once(answers, is_alive=is_alive)
    try:
        async with once.running():
            yield Worker(once, answers, [] if ran is None else ran)
    finally:
        database.close()
