"""What a web page of another origin can send without being asked starts nothing."""

from collections.abc import Mapping
from typing import Any

import pytest

from hayserve import BasePipelineWrapper
from hayserve.errors import InvalidRequest
from hayserve.protocols.json_body import check_numbers
from hayserve.testing import Client, serve

BODY = b'{"model": "it", "messages": [{"role": "user", "content": "Hi"}], "input": "Hi"}'
PATHS = ("/v1/chat/completions", "/chat/completions", "/v1/responses", "/it/run")


class It(BasePipelineWrapper):
    def setup(self) -> None: ...

    def run_api(self) -> str:
        return "ran"

    def run_chat_completion(
        self, model: str, messages: list[dict[str, Any]], body: dict[str, Any]
    ) -> str:
        return "ran"


def said_by(client: Client, path: str, *, body: bytes, headers: Mapping[str, str]) -> Any:
    answer = client.http.post(path, content=body, headers=headers)
    said = answer.json()
    return answer.status_code, said["error"]["message"] if "error" in said else said.get("detail")


@pytest.mark.parametrize("path", PATHS)
def test_a_body_has_to_be_called_json(path: str) -> None:
    status = 422 if path == "/it/run" else 400
    with serve(it=It) as client:
        unstated = said_by(client, path, body=BODY, headers={})
        assert (unstated[0], unstated[1].partition(", ")[0]) == (
            status,
            "The body is of no stated type",
        )
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
            stated = said_by(client, path, body=BODY, headers={"content-type": f"{kind}; x=json"})
            assert (stated[0], stated[1].partition(", ")[0]) == (status, f"The body is {kind!r}")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "kind", ["application/json", "Application/JSON; charset=utf-8", "a/b+json"]
)
def test_json_may_be_called_by_all_its_names(path: str, kind: str) -> None:
    with serve(it=It) as client:
        answer = client.http.post(path, content=BODY, headers={"content-type": kind})
    assert (answer.status_code, "ran" in answer.text) == (200, True)


def test_an_empty_body_needs_no_type() -> None:
    with serve(it=It) as client:
        assert client.http.post("/it/run").json() == {"result": "ran"}
        status, message = said_by(client, "/v1/responses", body=b"", headers={})
    assert (status, message.partition(":")[0]) == (400, "The body is not a JSON object")


@pytest.mark.parametrize("body", [b'{"a":NaN}', b"[-Infinity]", b'{"a":Infinity}'])
def test_numbers_that_json_does_not_have_are_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest, match="not JSON") as refused:
        check_numbers(body)
    assert refused.value.hint == "JSON has neither NaN nor Infinity: send null."


@pytest.mark.parametrize("body", [b"", b'{"a":1}', b'{"a":"NaN or Infinity"}', b"no JSON at all"])
def test_words_are_no_numbers(body: bytes) -> None:
    check_numbers(body)
