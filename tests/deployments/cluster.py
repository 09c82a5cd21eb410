"""Several workers of one server in one process, on one database."""

from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import psycopg
from sqlalchemy.engine import make_url

from hayserve.deployments.bundle import Bundle
from hayserve.deployments.change import Answer, Change, Reached, Stage
from hayserve.deployments.deploy import Prove, ProveTogether
from hayserve.deployments.deployment import Deployment
from hayserve.deployments.ledger import Ledger
from hayserve.deployments.members import Members
from hayserve.deployments.order import Order, Outcome
from hayserve.deployments.target import Target
from hayserve.errors import HayserveError, as_fields
from hayserve.server.parts import Parts, parts_of
from hayserve.settings import load

SOURCE = """
import time
from pathlib import Path
from hayserve import BasePipelineWrapper

class PipelineWrapper(BasePipelineWrapper):
    def setup(self) -> None:
        {setup}

    def run_api(self) -> str:
        return {word!r}

    def teardown(self) -> None:
        with Path({closed!r}).open("a") as file:
            file.write({word!r} + "\\n")
"""


class Worker:
    """One of them, as a test looks at it."""

    def __init__(self, parts: Parts, folder: Path) -> None:
        self.parts = parts
        self._folder = folder

    def order(self, name: str, word: str, *, setup: str = "pass", **given: Any) -> Order:
        source = SOURCE.format(word=word, setup=setup, closed=str(self._folder / "closed"))
        return Order(name, Bundle.of_texts({"pipeline_wrapper.py": source}), **given)

    async def deploy(self, name: str, word: str, *, setup: str = "pass", **given: Any) -> Outcome:
        return await self.parts.deployer.deploy(self.order(name, word, setup=setup, **given))

    def says(self, name: str) -> str | None:
        """What it answers as `name`; None where it serves nothing of that name."""
        found = self.parts.registry.find(name)
        return None if found is None else str(found.wrapper.run_api())

    def find(self, name: str) -> Deployment:
        return self.parts.registry.get(name)

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.parts.database)

    def prove_with(self, prove: Prove, *, together: ProveTogether | None = None) -> None:
        """Have what is deployed here tried out by `prove`, and many at a start by `together`."""
        self.parts.deployer._prove_together = together  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
        self.parts.deployer._prove = prove  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]

    def leads(self, name: str) -> bool:
        """Whether a change of `name` is led here."""
        return self.parts.deployer._rollout.leads(name)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]

    def has_answered(self, change: Change, reached: Reached) -> bool:
        """Whether it has come so far with a change."""
        answer = self.ledger.answers(change.id).get(self.parts.members.id)
        return answer is not None and answer.reached == reached


class Puppet:
    """A worker that says what the test wants it to, and nothing else."""

    def __init__(self, beside: Worker) -> None:
        self._beside = beside
        self._members = Members(beside.parts.database)
        self._members.join()
        self.id = self._members.id

    async def bring_to(self, stage: Stage) -> Change:
        """Answer until the change that is under way has come to `stage`."""
        answers: dict[Stage, Reached] = {"loading": "loaded", "holding": "held"}
        while True:
            await until(lambda: self._beside.ledger.snapshot().open_changes)
            for change in self._beside.ledger.snapshot().open_changes:
                if change.stage == stage:
                    return change
                self.answer(change, answers[change.stage])
            await anyio.sleep(0.005)

    def answer(self, change: Change, reached: Reached, error: HayserveError | None = None) -> None:
        fields = None if error is None else as_fields(error)
        self._beside.ledger.answer(change.id, Answer(self.id, reached, fields))

    def leave(self) -> None:
        self._members.leave()


def closed(folder: Path) -> list[str]:
    """What was closed so far."""
    file = folder / "closed"
    return file.read_text().split() if file.exists() else []


@contextmanager
def outage(server: str, url: str) -> Generator[None]:
    """While the block lasts one database of that PostgreSQL server takes no connections."""
    name = make_url(url).database or ""
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false".encode())
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name]
        )
        try:
            yield
        finally:
            connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true".encode())


async def until(condition: Any) -> None:
    """Wait for what happens in other tasks."""
    with anyio.fail_after(10):
        while not condition():  # noqa: ASYNC110 - nothing else tells
            await anyio.sleep(0.005)


@asynccontextmanager
async def worker(
    url: str,
    folder: Path,
    *,
    things: Mapping[str, Target] | None = None,
    run: str = "",
    **settings: Any,
) -> AsyncGenerator[Worker]:
    """One worker, which follows."""
    known = load(data_dir=folder / "data", database_url=url, **settings)
    parts = parts_of(known, things=things or {}, prove=False, run=run)
    await anyio.to_thread.run_sync(parts.database.open)
    await anyio.to_thread.run_sync(parts.members.join)
    async with AsyncExitStack() as stack:
        stack.callback(parts.database.close)
        stack.callback(parts.members.leave)
        await stack.enter_async_context(parts.pulse.running())
        await stack.enter_async_context(parts.retirements.running())
        tasks = await stack.enter_async_context(anyio.create_task_group())
        await tasks.start(parts.follower.run)
        yield Worker(parts, folder)
        tasks.cancel_scope.cancel()


@asynccontextmanager
async def cluster(url: str, folder: Path, *, size: int = 2) -> AsyncGenerator[list[Worker]]:
    """Several workers."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(worker(url, folder)) for _ in range(size)]
