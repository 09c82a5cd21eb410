"""What a budget limits, and how a limit is told."""

import math

import pytest

from hayserve.access.kinds import REQUESTS, RUN_SECONDS, RUNS, TOKENS, Kind, duration


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(1, "1s"), (59, "59s"), (60, "1m0s"), (361, "6m1s"), (86399, "23h59m59s"), (3600, "1h0m0s")],
)
def test_a_time_is_written_as_openai_does(seconds: int, text: str) -> None:
    assert duration(seconds) == text


def test_windows_are_those_of_the_clock() -> None:
    assert (REQUESTS.window_at(119.9), REQUESTS.window_at(120)) == (1, 2)
    assert REQUESTS.ends_at(1) == 120
    assert TOKENS.ends_at(TOKENS.window_at(86400)) == 2 * 86400


def test_what_is_given_back_has_one_window_that_does_not_end() -> None:
    assert RUNS.window_at(1e9) == 0
    assert RUNS.ends_at(0) == math.inf


@pytest.mark.parametrize(
    ("kind", "message", "hint"),
    [
        (REQUESTS, "sent its 60 requests of this minute", "The next minute begins in 12s."),
        (TOKENS, "used its 60 tokens of this day", "The next day, in UTC, begins in 12s."),
        (
            RUN_SECONDS,
            "used its 60 seconds of runs of this day",
            "The next day, in UTC, begins in 12s.",
        ),
        (
            RUNS,
            "60 runs under way, as many as it may at a time",
            "Send the request again when one of them has ended.",
        ),
    ],
)
def test_who_is_refused_is_told_why_and_until_when(kind: Kind, message: str, hint: str) -> None:
    error = kind.reached("The key 'ada'", 60, seconds=11.2)
    assert error.message == f"The key 'ada' has {message}."
    assert error.hint == hint
    assert error.retry_after == (1 if kind is RUNS else 12)


def test_nobody_is_told_to_come_again_at_once() -> None:
    assert REQUESTS.reached("The key 'ada'", 60, seconds=-0.1).retry_after == 1
