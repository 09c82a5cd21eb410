import logging
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from hayserve.settings import Settings
from server.serving import settings_in
from server.team import DYING, GOOD, LOADING, MUTE, QUICK, Team, said


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_in(tmp_path)


@pytest.fixture(autouse=True)
def everything_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "hayserve.server")


def events(caplog: pytest.LogCaptureFixture) -> list[tuple[str, int]]:
    return [
        (record.message, vars(record)["pid"])
        for record in caplog.records
        if record.message in {"worker_started", "worker_ready", "worker_stopped"}
    ]


def test_one_after_the_other_is_replaced_when_the_next_one_is_ready(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    with Team(settings, GOOD, seats=2) as team:
        team.wait(lambda: team.welcomes)
        caplog.clear()
        team.tell(signal.SIGHUP)
        team.wait(lambda: said(caplog, "rolling_restart_done"))
        assert team.roles()[2:] == [
            (1, False, True),
            (2, False, False),
        ]
        old_1, old_2, new_1, new_2 = (worker.pid for worker in team.hired)
        assert events(caplog) == [
            ("worker_started", new_1),
            ("worker_ready", new_1),
            ("worker_stopped", old_1),
            ("worker_started", new_2),
            ("worker_ready", new_2),
            ("worker_stopped", old_2),
        ]
    assert said(caplog, "worker_died") == []


def test_hangups_while_one_is_under_way_are_one_more(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    with Team(settings, GOOD) as team:
        team.wait(lambda: team.welcomes)
        for _ in range(3):
            team.tell(signal.SIGHUP)
        team.wait(lambda: len(said(caplog, "rolling_restart_done")) == 2)
        team.tell(signal.SIGHUP)
        team.wait(lambda: len(said(caplog, "rolling_restart_done")) == 3)
    assert len(team.hired) == 4


@pytest.mark.parametrize(
    ("next_one", "why"),
    [
        (DYING, "it died"),
        (LOADING, "it was not ready in time"),
        (OSError, "it could not be started"),
    ],
)
def test_the_old_ones_stay_if_a_new_one_does_not_come(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, *, next_one: str | type[OSError], why: str
) -> None:
    settings, patience = settings_in(tmp_path), replace(QUICK, ready=1)
    with Team(settings, GOOD, GOOD, next_one, GOOD, seats=2, patience=patience) as team:
        team.wait(lambda: team.welcomes)
        team.tell(signal.SIGHUP)
        team.wait(lambda: said(caplog, "rolling_restart_failed"))
        assert vars(said(caplog, "rolling_restart_failed")[0])["because"] == why
        assert [worker.ending() for worker in team.hired[:2]] == [None, None]
        caplog.clear()
        team.tell(signal.SIGHUP)
        team.wait(lambda: said(caplog, "rolling_restart_done"))


def test_a_new_worker_takes_the_place_of_one_that_died_meanwhile(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    slow = f"time.sleep(0.5)\n{GOOD}"
    with Team(settings, GOOD, slow) as team:
        team.wait(lambda: team.welcomes)
        team.tell(signal.SIGHUP)
        team.wait(lambda: len(team.hired) == 2)
        os.kill(team.hired[0].pid, signal.SIGKILL)
        team.wait(lambda: said(caplog, "rolling_restart_done"))
        assert len(team.hired) == 2


def test_a_place_that_is_empty_is_left_to_who_comes_next(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    patience = replace(QUICK, longest_pause=60)
    with Team(settings, OSError, GOOD, seats=2, patience=patience) as team:
        team.wait(lambda: team.has_ready(1))
        team.tell(signal.SIGHUP)
        team.wait(lambda: said(caplog, "rolling_restart_done"))
        assert [number for number, *_ in team.roles()] == [2, 2]


def test_a_new_worker_that_hangs_is_as_one_that_died(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    with Team(settings, GOOD, MUTE, patience=replace(QUICK, start=0.5)) as team:
        team.wait(lambda: team.welcomes)
        team.tell(signal.SIGHUP)
        team.wait(lambda: said(caplog, "rolling_restart_failed"))
        assert team.hired[0].ending() is None
