"""What scopes allow."""

import pytest

from hayserve.access.scopes import ALL, NONE, RUNS, Scopes
from hayserve.errors import InvalidRequest


def test_nothing_allows_nothing() -> None:
    assert not NONE
    assert str(NONE) == ""
    assert not NONE.may_run(["a"])
    assert not NONE.runs_some
    assert not NONE.may_deploy
    assert not NONE.is_admin
    assert not NONE.runs_all


def test_run_allows_to_run_all() -> None:
    assert RUNS
    assert RUNS.runs_some
    assert RUNS.may_run(["a"])
    assert not RUNS.may_deploy
    assert not RUNS.is_admin


def test_run_of_one_allows_it_under_each_of_its_names() -> None:
    scopes = Scopes(["run:a", "run:gpt/4:o"])
    assert scopes.runs_some
    assert not scopes.runs_all
    assert scopes.may_run(["other", "a"])
    assert scopes.may_run(["gpt/4:o"])
    assert not scopes.may_run(["b", "run:a"])
    assert not scopes.may_run([])
    assert not scopes.may_deploy


def test_deploy_does_not_allow_to_run() -> None:
    scopes = Scopes(["deploy"])
    assert scopes.may_deploy
    assert not scopes.runs_some
    assert not scopes.is_admin
    assert not scopes.may_run(["a"])


def test_admin_allows_everything() -> None:
    assert ALL.is_admin
    assert ALL.may_deploy
    assert ALL.runs_all
    assert ALL.runs_some
    assert ALL.may_run(["a"])


def test_each_is_kept_once_in_the_order_in_which_they_were_said() -> None:
    scopes = Scopes(["run:b", "deploy", "run:b", "run"])
    assert scopes.words == ("run:b", "deploy", "run")
    assert str(scopes) == "run:b deploy run"


@pytest.mark.parametrize(
    "word",
    ["", "runs", "RUN", "run:", "run: a", "run:a b", "run:\0", "run:\udcff", "run:" + "a" * 201],
)
def test_any_other_word_is_refused(word: str) -> None:
    with pytest.raises(InvalidRequest, match="is no scope") as refused:
        Scopes(["run", word])
    assert refused.value.param == "scopes"
    assert "`run:` with the name of a deployment" in refused.value.hint
