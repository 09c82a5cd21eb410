import pytest

from hayserve import errors
from hayserve.errors import HayserveError
from hayserve.events import RunCancelled, RunFailed, RunFinished, StreamOpened, TextDelta
from hayserve.protocols.openai_error import (
    error_object,
    failure_before_words,
    failure_of,
    is_openai,
)


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (errors.NotFound("No.", param="model"), "invalid_request_error", "model_not_found"),
        (errors.NotFound("No.", param="n"), "invalid_request_error", "not_found"),
        (errors.InvalidRequest("No.", param="n"), "invalid_request_error", "invalid_request"),
        (errors.Unauthorized("No."), "authentication_error", "unauthorized"),
        (errors.WrapperFailed("No."), "server_error", "wrapper_failed"),
        (errors.WrapperRefused(429, "No."), "invalid_request_error", "wrapper_refused"),
        (errors.WrapperRefused(503, "No."), "server_error", "wrapper_refused"),
    ],
)
def test_an_error_is_openais_error_object(error: HayserveError, kind: str, code: str) -> None:
    assert error_object(error, run_id="r1") == {
        "error": {
            "message": "No.",
            "type": kind,
            "param": error.param,
            "code": code,
            "run_id": "r1",
        }
    }


def test_the_hint_is_part_of_the_message() -> None:
    error = errors.InvalidRequest("No.", hint="Try this.")
    assert error_object(error, run_id="r1")["error"]["message"] == "No. Try this."


def test_a_failure_counts_as_before_the_first_word_only_if_nothing_was_said() -> None:
    failed = RunFailed(errors.WrapperFailed("no model"))
    assert failure_before_words([StreamOpened(), failed]) is failed.error
    assert failure_before_words([failed]) is failed.error
    assert failure_before_words([StreamOpened(), TextDelta("a"), failed]) is None
    assert failure_before_words([StreamOpened()]) is None


def test_a_run_that_was_stopped_can_be_asked_for_again() -> None:
    failure = failure_of(RunCancelled("so"))
    assert isinstance(failure, errors.RunStopped)
    hint = "Send the request again if that was not intended."
    assert str(failure) == f"The run was stopped: so. {hint}"
    assert failure_of(RunFinished()) is None


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v1/chat/completions", True),
        ("/chat/completions", True),
        ("/responses/{response_id}", True),
        ("/{name}/run", False),
        ("/v1/run", False),
        ("/status", False),
    ],
)
def test_openais_paths_are_known(path: str, expected: bool) -> None:
    assert is_openai(path) is expected
