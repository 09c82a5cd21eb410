"""Dead and hung workers are replaced; rolling restarts are told in test_rolling."""

import logging
import os
import signal
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from hayserve.errors import Misconfigured
from hayserve.settings import Settings
from server.serving import settings_in
from server.team import (
    BROKEN,
    DYING,
    GOOD,
    LOADING,
    MUTE,
    QUICK,
    REFUSING,
    SILENT_LATER,
    STUBBORN,
    Team,
    said,
)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_in(tmp_path)


@pytest.fixture(autouse=True)
def everything_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "hayserve.server")


def test_all_workers_start_one_welcome_is_said_and_all_end(settings: Settings) -> None:
    with Team(settings, GOOD, seats=3) as team:
        team.wait(lambda: team.welcomes)
        assert team.roles() == [
            (1, True, True),
            (2, False, False),
            (3, False, False),
        ]
        assert team.stops == 0
    assert (team.welcomes, team.stops, team.error) == (["Welcome."], 1, None)
    assert len(team.hired) == 3


def test_a_dead_worker_is_replaced_by_one_that_declares_nothing_again(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    with Team(settings, GOOD, seats=2) as team:
        team.wait(lambda: team.welcomes)
        os.kill(team.hired[0].pid, signal.SIGKILL)
        team.wait(lambda: team.has_ready(3))
        assert team.roles()[2] == (1, False, True)
        os.kill(team.hired[1].pid, signal.SIGTERM)
        team.wait(lambda: team.has_ready(4))
        assert team.roles()[3] == (2, False, False)
    assert [vars(record)["with"] for record in said(caplog, "worker_died")] == [
        "SIGKILL",
        "SIGTERM",
    ]
    assert team.welcomes == ["Welcome."]


def test_one_that_dies_before_it_is_ready_leaves_its_whole_role(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    with Team(settings, DYING, GOOD) as team:
        team.wait(lambda: team.welcomes)
    assert team.roles() == [(1, True, True), (1, True, True)]
    [died] = said(caplog, "worker_died")
    assert vars(died)["with"] == "exit code 3"


def test_those_that_die_young_are_replaced_after_growing_pauses(settings: Settings) -> None:
    patience = replace(QUICK, short_life=5, first_pause=0.3, longest_pause=0.6)
    with Team(settings, DYING, DYING, DYING, DYING, GOOD, patience=patience) as team:
        team.wait(lambda: team.welcomes)
    starts = [worker.started_at for worker in team.hired]
    pauses = [later - earlier for earlier, later in pairwise(starts)]
    assert all(pause >= least for pause, least in zip(pauses, [0.3, 0.6, 0.6, 0.6], strict=True))


def test_a_first_worker_that_may_not_start_ends_everything(settings: Settings) -> None:
    with Team(settings, LOADING, REFUSING, REFUSING, seats=3) as team:
        team.end()
    assert isinstance(team.error, Misconfigured)
    assert (str(team.error), team.error.param) == ("No. Try.", "port")
    assert (len(team.hired), team.stops) == (3, 1)


def test_a_first_worker_that_ends_before_it_can_serve_ends_everything(settings: Settings) -> None:
    with Team(settings, BROKEN) as team:
        team.end()
    assert isinstance(team.error, Misconfigured)
    assert team.error.message == "Worker 1 ended with exit code 3 before it could serve."


def test_a_later_worker_that_may_not_start_is_tried_again(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    with Team(settings, GOOD, REFUSING, GOOD) as team:
        team.wait(lambda: team.welcomes)
        os.kill(team.hired[0].pid, signal.SIGKILL)
        team.wait(lambda: team.has_ready(2))
    assert vars(said(caplog, "worker_died")[1])["because"] == "No."
    assert team.error is None


def test_a_worker_that_says_nothing_is_dumped_and_replaced(
    settings: Settings, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    dumping = "faulthandler.register(signal.SIGUSR1)\nsay(**{'is': 'alive'})\n"
    patience = replace(QUICK, start=0.5, dump=0.5)
    with Team(settings, MUTE, dumping + SILENT_LATER, GOOD, patience=patience) as team:
        team.wait(lambda: len(team.hired) == 3 and team.hired[2].is_ready)
    assert len(said(caplog, "worker_hung")) == 2
    # The first had no handler yet, and ended by the signal.
    assert [vars(record)["with"] for record in said(caplog, "worker_died")] == [
        "SIGUSR1",
        "SIGKILL",
    ]
    assert 'File "<string>"' in capfd.readouterr().err


def test_a_worker_that_is_suspended_is_replaced(settings: Settings) -> None:
    with Team(settings, GOOD) as team:
        team.wait(lambda: team.welcomes)
        os.kill(team.hired[0].pid, signal.SIGSTOP)
        team.wait(lambda: team.has_ready(2))


def test_nobody_is_blamed_for_the_time_in_which_all_were_suspended(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    def suspend() -> None:
        team.signals.before_taking = lambda: None
        os.kill(team.hired[0].pid, signal.SIGSTOP)
        time.sleep(1.6)
        os.kill(team.hired[0].pid, signal.SIGCONT)

    with Team(settings, STUBBORN) as team:
        team.wait(lambda: team.welcomes)
        team.signals.before_taking = suspend
        team.wait(lambda: team.signals.before_taking != suspend)
        heard_at = team.hired[0].heard_at
        team.wait(lambda: team.hired[0].heard_at > heard_at + 1.6)
        team.tell(signal.SIGTERM)
        team.wait(lambda: team.stops)
        stops_by = team.hired[0].stops_by
        team.signals.before_taking = suspend
        team.wait(lambda: team.hired[0].stops_by != stops_by)
        team.tell(signal.SIGTERM)
    assert said(caplog, "worker_hung") == []
    assert len(team.hired) == 1


def test_a_worker_that_does_not_stop_is_killed(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    with Team(settings, STUBBORN, patience=replace(QUICK, stop=0.3)) as team:
        team.wait(lambda: team.welcomes)
        team.tell(signal.SIGINT)
        team.end()
    assert len(said(caplog, "worker_hung")) == 1
    [stopped] = said(caplog, "worker_stopped")
    assert vars(stopped)["with"] in {"SIGUSR1", "SIGKILL"}


def test_a_second_signal_ends_them_at_once(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    with Team(settings, STUBBORN) as team:
        team.wait(lambda: team.welcomes)
        team.tell(signal.SIGTERM)
        team.wait(lambda: team.stops)
        team.tell(signal.SIGTERM)
        team.end()
    assert vars(said(caplog, "worker_stopped")[0])["with"] == "SIGKILL"
    assert team.stops == 1


def test_a_worker_that_cannot_be_started_is_tried_again(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    with Team(settings, OSError, GOOD) as team:
        team.wait(lambda: team.welcomes)
        team.tell(signal.SIGCHLD)
    assert len(said(caplog, "worker_not_started")) == 1


def test_a_failure_of_the_parent_leaves_no_worker_behind(settings: Settings) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    with Team(settings, GOOD) as team:
        team.wait(lambda: team.welcomes)
        team.signals.before_taking = fail
        team.end()
    assert isinstance(team.error, ZeroDivisionError)
    with pytest.raises(ProcessLookupError):
        os.kill(team.hired[0].pid, 0)
