"""Workers know each other, and who has died, on SQLite and on PostgreSQL."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import update

from deployments.books import Book, book
from hayserve.deployments.members import (
    DEAD_AFTER_SECONDS,
    Members,
    Worker,
    started_at,
    this_node,
)
from hayserve.storage.tables import workers


@pytest.fixture
def kept(database_url: str) -> Iterator[Book]:
    with book(database_url) as opened:
        yield opened


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_worker_is_on_the_list_from_when_it_joins_until_it_leaves(kept: Book) -> None:
    one, other = Members(kept.database), Members(kept.database)
    for each in (one, other):
        each.join()
    own = Worker(one.id, this_node(), os.getpid(), "", {})
    assert other.live()[one.id] == own
    assert set(one.live()) == {one.id, other.id}
    assert own.label == f"process {os.getpid()} on {this_node().partition('/')[0]}"
    one.leave()
    assert set(other.live()) == {other.id}


def test_what_a_worker_cannot_serve_is_known_to_all(kept: Book) -> None:
    one, other = Members(kept.database), Members(kept.database)
    one.join()
    one.report({"it": "No."})
    assert other.live()[one.id].failed == {"it": "No."}


def test_a_process_of_this_machine_that_has_ended_is_taken_off_the_list(kept: Book) -> None:
    one, dead, replaced = (Members(kept.database) for _ in range(3))
    for each in (one, dead, replaced):
        each.join()
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    with kept.database.writing() as connection:
        gone = workers.c.id == dead.id
        connection.execute(update(workers).where(gone).values(pid=ended.pid))
        # Another process has got its number.
        other = workers.c.id == replaced.id
        connection.execute(update(workers).where(other).values(started_at=1.0))
    assert set(one.live()) == {one.id}
    assert set(one.live()) == {one.id}
    assert not dead.beat()  # it is back, and knows that it was given up
    assert set(one.live()) == {one.id, dead.id}


def test_a_worker_of_another_machine_that_gives_no_sign_is_given_up(kept: Book) -> None:
    clock = Clock()
    here = Members(kept.database, node="here", clock=clock)
    there = Members(kept.database, node="there")
    here.join()
    there.join()
    assert there.id in here.live()
    clock.now = DEAD_AFTER_SECONDS - 1
    assert there.id in here.live()
    assert there.beat()
    clock.now = DEAD_AFTER_SECONDS + 1
    assert there.id in here.live()
    clock.now = 2 * DEAD_AFTER_SECONDS + 1
    assert set(here.live()) == {here.id}
    assert not there.beat()
    assert there.id in here.live()


def test_a_worker_is_alone_while_no_other_run_of_the_server_lives(kept: Book) -> None:
    one, same, other = (Members(kept.database, run=run) for run in ("a", "a", "b"))
    one.join()
    same.join()
    assert one.is_alone()
    other.join()
    assert not one.is_alone()
    other.leave()
    assert one.is_alone()


def test_signs_of_life_are_needed_where_other_machines_can_be(kept: Book) -> None:
    assert kept.members.needs_signs is not kept.database.address.is_sqlite


def test_a_machine_has_one_name() -> None:
    assert this_node() == this_node()
    assert this_node().partition("/")[0]


def test_a_process_began_at_one_time(monkeypatch: pytest.MonkeyPatch) -> None:
    began = started_at(os.getpid())
    assert began is not None
    assert started_at(os.getpid()) == began

    def forbidden(pid: int, number: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", forbidden)
    assert started_at(os.getpid()) == began  # also if it is somebody else's


def test_a_process_that_lives_where_that_is_not_told_began_at_some_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def silent(pid: int, number: int) -> None: ...

    monkeypatch.setattr(os, "kill", silent)
    assert started_at(2**22 + 1) == 0.0


def test_a_process_that_has_ended_began_never() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
        if Path("/proc").is_dir():
            assert started_at(ended.pid) is None  # nobody has asked how it ended
    assert started_at(ended.pid) is None
