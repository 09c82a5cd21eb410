"""`hayserve cancel` stops runs."""

import json

import pytest

from cli.outcome import Typed

FIRST, SECOND = "0123456789ab0123456789ab", "0123456789cd0123456789cd"


@pytest.mark.parametrize("word", [FIRST, FIRST[:11]])
def test_a_run_is_stopped_by_its_id_or_by_what_it_begins_with(
    typed: Typed, server_url: str, word: str
) -> None:
    told = typed("cancel", word, "--url", server_url)
    assert (told.code, told.err) == (0, "")
    assert told.out == f"✔ Run {FIRST} was told to stop.\n"


def test_several_can_be_stopped_each_once(typed: Typed, server_url: str) -> None:
    told = typed("cancel", FIRST, SECOND[:11], FIRST[:11], "--json", "--url", server_url)
    assert told.code == 0
    assert [run["id"] for run in json.loads(told.out)["runs"]] == [FIRST, SECOND]


def test_one_that_has_ended_does_not_keep_the_others(typed: Typed, server_url: str) -> None:
    told = typed("cancel", "a" * 24, FIRST, "--url", server_url)
    assert told.code == 1
    assert told.out == f"✔ Run {FIRST} was told to stop.\n"
    assert told.err == "✘ Error: It has ended.\n  Look.\n"


def test_nothing_is_stopped_if_it_is_not_clear_what(typed: Typed, server_url: str) -> None:
    for word, why in {"0123": "More than one run", "77": "No run that is alive"}.items():
        told = typed("cancel", FIRST, word, "--url", server_url)
        assert (told.code, told.out) == (1, "")
        assert told.err.startswith(f"✘ Error: {why} has an id that begins with {word!r}.\n")
