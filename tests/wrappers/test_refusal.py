"""What the caller is told when a wrapper's code raised."""

from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi import HTTPException as FastAPIException
from starlette.exceptions import HTTPException

from hayserve.deployments.loader import load_module
from hayserve.errors import (
    HayserveError,
    InvalidRequest,
    NotFound,
    RunFailed,
    WrapperFailed,
    WrapperRefused,
)
from hayserve.wrappers.refusal import failure_of


def told(error: BaseException) -> RunFailed | InvalidRequest:
    return failure_of(error, name="it", method="run_api", run_id="r1")


def test_an_error_is_told_with_the_deployment_and_the_method() -> None:
    error = ValueError("no such file: '/home/me/secret/data.txt'")
    failure = told(error)
    assert isinstance(failure, WrapperFailed)
    assert failure.message == "'it' failed in run_api: ValueError: no such file: '…/data.txt'."
    assert failure.hint == "The server's log has the traceback under run r1."
    assert failure.__cause__ is error


def test_the_traceback_is_told_where_that_is_asked_for() -> None:
    try:
        raise ValueError("broke")
    except ValueError as error:
        failure = failure_of(error, name="it", method="run_api", run_id="r1", show_traceback=True)
    assert failure.hint.startswith("Traceback (most recent call last):")
    assert "ValueError: broke" in failure.hint


@pytest.mark.parametrize("kind", [HTTPException, FastAPIException])
def test_an_http_exception_keeps_status_detail_and_headers(
    kind: Callable[..., HTTPException],
) -> None:
    error = kind(429, "slow down", {"Retry-After": "3"})
    refusal = told(error)
    assert isinstance(refusal, WrapperRefused)
    assert (refusal.status, refusal.detail, refusal.headers) == (
        429,
        "slow down",
        {"Retry-After": "3"},
    )
    assert refusal.__cause__ is error


def test_an_http_exception_may_have_any_detail_and_no_headers() -> None:
    refusal = told(FastAPIException(400, {"why": ["a"]}))
    assert isinstance(refusal, WrapperRefused)
    assert (refusal.detail, refusal.headers) == ({"why": ["a"]}, {})
    assert refusal.message == "{'why': ['a']}"


@pytest.mark.parametrize("error", [InvalidRequest("no"), WrapperFailed("no"), RunFailed("no")])
def test_what_says_itself_what_is_wrong_passes(error: HayserveError) -> None:
    assert told(error) is error


def test_another_error_of_this_package_is_told_with_its_hint() -> None:
    failure = told(NotFound("There is no x.", hint="Use y."))
    assert failure.message == "'it' failed in run_api: There is no x. Use y."


def test_the_place_in_the_deployments_own_code_is_told(tmp_path: Path) -> None:
    (tmp_path / "agent.py").write_text("def run_api():\n    raise KeyError('replies')\n")
    code = load_module(tmp_path, "agent", name="it")
    with pytest.raises(KeyError) as raised:
        code.module.run_api()
    code.unload()
    assert told(raised.value).message == (
        "'it' failed in run_api at agent.py line 2: KeyError: 'replies'."
    )


def test_a_text_that_is_a_sentence_gets_no_second_full_stop() -> None:
    assert told(ValueError("Nothing there!")).message.endswith(": Nothing there!")


def test_an_exit_is_told() -> None:
    assert told(SystemExit(3)).message == "'it' failed in run_api: SystemExit: 3."


def test_a_group_of_one_error_is_told_as_that_error() -> None:
    refusal = HTTPException(404)
    group = BaseExceptionGroup("group", [ExceptionGroup("inner", [refusal])])
    failure = told(group)
    assert isinstance(failure, WrapperRefused)
    assert failure.status == 404
    assert failure.__cause__ is group


def test_a_group_of_several_errors_is_told_as_a_group() -> None:
    failure = told(ExceptionGroup("both", [ValueError("a"), ValueError("b")]))
    assert failure.message.startswith("'it' failed in run_api: ExceptionGroup: both")
