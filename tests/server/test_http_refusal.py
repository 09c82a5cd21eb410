import logging

import httptools
import pytest

from hayserve.server.http_refusal import refusal_of


def test_a_mistake_of_ours_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    error = httptools.HttpParserCallbackError("User callback error")
    error.__context__ = ZeroDivisionError()

    refused = refusal_of(error)

    assert (refused.status, refused.error.code) == (400, "invalid_request")
    assert [record.message for record in caplog.records] == ["request_not_understood"]
