"""A worker that lets in as many as it may: a process of its own, driven by a test.

It says `ready`, waits for a line, and then says what became of it, as JSON.
"""

import json
import random
import sys
import time
from typing import Any

import anyio
import anyio.to_thread

from access.budgeted import caller
from access.conftest import Clock
from hayserve.access.bank import Bank
from hayserve.access.limits import Limits
from hayserve.errors import LimitReached
from hayserve.storage.database import Database

CALLERS = 20


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def count(limits: Limits, *, limit: int) -> Any:
    """How many requests were let in."""
    let_in = 0
    ada = caller(requests_per_minute=limit)

    async def one() -> None:
        nonlocal let_in
        try:
            while True:
                if not limits.count(ada):
                    await limits.count_slowly(ada)
                let_in += 1
                await anyio.sleep(random.uniform(0, 0.005))
        except LimitReached:
            return

    async with anyio.create_task_group() as tasks:
        for _ in range(CALLERS):
            tasks.start_soon(one)
    return let_in


async def run(limits: Limits, *, limit: int) -> Any:
    """When runs began and ended."""
    spans: list[tuple[float, float]] = []
    ada = caller(concurrent_runs=limit)
    end = time.monotonic() + 2

    async def one() -> None:
        while time.monotonic() < end:
            try:
                tab = limits.open_tab(ada) or await limits.open_tab_slowly(ada)
            except LimitReached:
                continue
            began = time.monotonic()
            await anyio.sleep(random.uniform(0, 0.1))
            spans.append((began, time.monotonic()))
            tab.drop()

    async with anyio.create_task_group() as tasks:
        for _ in range(CALLERS):
            tasks.start_soon(one)
    return spans


async def hold(limits: Limits, *, limit: int) -> Any:
    """Has as many runs under way as it may, and is killed."""
    ada = caller(concurrent_runs=limit)
    for _ in range(limit):
        await limits.open_tab_slowly(ada)
    say("holding")
    await anyio.sleep_forever()


async def main(url: str, worker: str, *, work: str, limit: int) -> None:
    database = Database(url)
    database.open()
    # The test has all live as long as it waits for them.
    bank = Bank(database, worker=worker, live=lambda: [f"w{number}" for number in range(9)])
    limits = Limits(bank, clock=Clock())
    async with limits.running():
        say("ready")
        await anyio.to_thread.run_sync(sys.stdin.readline)
        result = await {"count": count, "run": run, "hold": hold}[work](limits, limit=limit)
    database.close()
    say(json.dumps(result))


if __name__ == "__main__":
    url, worker, work, limit = sys.argv[1:]
    anyio.run(lambda: main(url, worker, work=work, limit=int(limit)))
