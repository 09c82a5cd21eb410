"""Workers that share a database and have runs of which a test says what they are."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio.to_thread

from hayserve.deployments.members import Members
from hayserve.deployments.pulse import Pulse
from hayserve.runs.everywhere import PATIENCE_SECONDS, RunsEverywhere
from hayserve.runs.state import RunState
from hayserve.storage.database import Database


def state(name: str, *, age: float = 1.0, **given: Any) -> RunState:
    """A run of that id."""
    known: dict[str, Any] = {
        "deployment": "greeter",
        "revision": 3,
        "method": "run_api",
        "streamed": False,
        "caller": "local key",
        "stage": "running",
    }
    return RunState(id=name, age_seconds=age, **{**known, **given})


class Made:
    """Runs that a test makes up, and what they were told."""

    def __init__(self, *runs: RunState) -> None:
        self.runs = list(runs)
        self.told: list[tuple[str, str]] = []
        self.looks = 0

    def live(self) -> Sequence[RunState]:
        self.looks += 1
        return self.runs

    def cancel(self, run_id: str, *, reason: str, owner: str | None = None) -> bool:
        if run_id not in {run.id for run in self.runs if owner in {None, run.owner}}:
            return False
        self.told.append((run_id, reason))
        return True


class Colleague:
    """One worker, its database opened as another process would."""

    def __init__(self, url: str, runs: Sequence[RunState], *, patience: float) -> None:
        self.database = Database(url)
        self.members = Members(self.database)
        self.pulse = Pulse(self.database)
        self.made = Made(*runs)
        self.everywhere = RunsEverywhere(
            self.made,
            database=self.database,
            members=self.members,
            pulse=self.pulse,
            patience_seconds=patience,
        )


@asynccontextmanager
async def colleague(
    url: str, *runs: RunState, answers: bool = True, patience: float = PATIENCE_SECONDS
) -> AsyncGenerator[Colleague]:
    """A worker that has these runs; without `answers` it lives and hears nothing."""
    one = Colleague(url, runs, patience=patience)
    await anyio.to_thread.run_sync(one.database.open)
    try:
        await anyio.to_thread.run_sync(one.members.join)
        async with one.pulse.running():
            if answers:
                async with one.everywhere.running():
                    yield one
            else:
                yield one
        await anyio.to_thread.run_sync(one.members.leave)
    finally:
        one.database.close()
