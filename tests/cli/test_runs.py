"""`hayserve runs` shows what runs."""

import json

import pytest

from cli.outcome import Typed
from hayserve.cli.runs import duration, short_ids


def rows(table: str) -> list[list[str]]:
    lines = [line for line in table.splitlines() if line.startswith("│")]
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in lines]


def test_runs_are_listed_with_their_stage_and_times(typed: Typed, server_url: str) -> None:
    shown = typed("runs", "--url", server_url)
    assert (shown.code, shown.err) == (0, "")
    assert rows(shown.out) == [
        [
            "0123456789a",
            "greeter (3)",
            "tool: search_the_web, cancelled",
            "1h15m",
            "over",
            "local key",
            "11 on one",
        ],
        ["0123456789c", "writer", "model", "3.2s", "2m05s", "192.168.100.200", "12 on two"],
        ["fedcba98765", "writer", "", "0.0s", "", "", "12 on two"],
    ]


def test_they_can_be_read_on_a_narrow_terminal(
    typed: Typed, server_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    shown = typed("runs", "--url", server_url)
    assert max(map(len, shown.out.splitlines())) <= 80
    # Nothing is cut off, and an id stays in one piece.
    columns = ["".join(cells) for cells in zip(*rows(shown.out), strict=True)]
    assert columns[0] == "0123456789a0123456789cfedcba98765"
    assert columns[2] == "tool:search_the_web,cancelledmodel"
    assert "192.168.100.200" in columns[5]


def test_those_of_one_deployment_are_listed(typed: Typed, server_url: str) -> None:
    shown = typed("runs", "--deployment", "writer", "--url", server_url)
    assert [row[:2] for row in rows(shown.out)] == [
        ["01234567", "writer"],
        ["fedcba98", "writer"],
    ]
    assert "on two" not in shown.out  # there is only one worker


def test_that_nothing_runs_is_said(typed: Typed, server_url: str) -> None:
    shown = typed("runs", "--deployment", "idle", "--url", server_url)
    assert (shown.code, shown.out) == (0, "Nothing runs of 'idle'.\n")


def test_a_worker_that_does_not_answer_is_named(typed: Typed, server_url: str) -> None:
    shown = typed("runs", "--url", f"{server_url}/silent")
    assert shown.err == "! Its runs are not known: process 13 on three did not answer.\n"
    assert "search_the_web" in shown.out


def test_the_answer_can_be_had_as_json(typed: Typed, server_url: str) -> None:
    shown = typed("runs", "--json", "--url", server_url)
    assert json.loads(shown.out)["runs"][0]["id"] == "0123456789ab0123456789ab"


def test_ids_are_as_short_as_they_can_be_told_apart() -> None:
    assert short_ids([]) == {}
    assert short_ids(["a", "b"]) == {"a": "a", "b": "b"}
    assert short_ids(["0123456789", "0123456780"]) == {
        "0123456789": "0123456789",
        "0123456780": "0123456780",
    }
    assert short_ids(["same" * 6, "same" * 6]) == {"same" * 6: "samesame"}


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(9.94, "9.9s"), (10, "10s"), (59.9, "59s"), (60, "1m00s"), (3600, "1h00m")],
)
def test_times_are_short(seconds: float, said: str) -> None:
    assert duration(seconds) == said
