"""What a server lists is shown as tables."""

import pytest

from hayserve.cli import tables


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("TZ", "UTC")


def rows(table: str) -> list[list[str]]:
    lines = [line for line in table.splitlines() if line.startswith("│")]
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in lines]


def test_a_server_that_says_less_is_shown_too(capsys: pytest.CaptureFixture[str]) -> None:
    tables.deployments([{"name": "old", "state": "Loaded"}])
    assert rows(capsys.readouterr().out) == [["1", "old", "", "", "", "Loaded", ""]]


def test_revisions_are_listed_with_their_parameters(capsys: pytest.CaptureFixture[str]) -> None:
    first = {
        "revision": 1,
        "active": False,
        "deployed_at": "2026-11-23T00:20:18+00:00",
        "deployed_by": "local key",
        "deployed_from": "ann@here:/[bold]",
        "digest": "0123456789abcdef",
        "parameters": {"model": "gpt-4o", "top": [1, "é"]},
        "limits": {"max_runs": 4},
    }
    second = {**first, "revision": 2, "active": True, "parameters": {}, "deployed_from": ""}
    del second["limits"]
    tables.history([second, first])
    shown = rows(capsys.readouterr().out)
    assert [(row[0], row[1], row[6]) for row in shown] == [
        ("2", "✔", ""),
        ("1", "", "model=gpt-4o"),
        ("", "", 'top=[1, "é"]'),
        ("", "", "limit max_runs=4"),
    ]
    assert shown[1][3:6] == ["local key", "ann@here:/[bold]", "0123456789ab"]
    assert shown[1][2].startswith("2026-11-2")
