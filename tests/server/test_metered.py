"""Callers with a budget are counted, and told what is left."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient, WebSocketDenialResponse

from hayserve.access.budget import Budget
from hayserve.access.keys import Keys
from hayserve.server.app import create_app
from hayserve.server.parts import database_url
from hayserve.storage.database import Database
from server.serving import put, settings_in

LEFT = "x-ratelimit-remaining-requests"


@pytest.fixture
def keys(tmp_path: Path) -> dict[str, str]:
    """A key for each budget, in the database of the server of this test."""
    budgets = {
        "few": Budget(requests_per_minute=2),
        "tokens": Budget(tokens_per_day=100),
        "one": Budget(concurrent_runs=1),
        "free": Budget(),
    }
    database = Database(database_url(settings_in(tmp_path)))
    database.open()
    made = {
        name: Keys(database).create(name, scopes=["run"], budget=budget)[1]
        for name, budget in budgets.items()
    }
    database.close()
    return made


@pytest.fixture
def http(tmp_path: Path, keys: dict[str, str]) -> Iterator[TestClient]:
    put(tmp_path / "pipelines" / "it")
    loaded = threading.Event()
    settings = settings_in(tmp_path, insecure=False)
    app = create_app(settings, when_loaded=lambda _: loaded.set(), prove=False)
    with TestClient(app, "http://localhost", raise_server_exceptions=False) as client:
        assert loaded.wait(timeout=20)
        yield client


def test_who_has_sent_enough_is_told_when_to_come_again(
    http: TestClient, keys: dict[str, str]
) -> None:
    headers = {"authorization": f"Bearer {keys['few']}"}
    answers = [http.post("/it/run", json={}, headers=headers) for _ in range(3)]
    if answers[2].status_code == 200:  # a minute has just begun
        answers += [http.post("/it/run", json={}, headers=headers) for _ in range(2)]
    refused = answers[-1]
    assert [answer.status_code for answer in answers[:2]] == [200, 200]
    assert (refused.status_code, refused.json()["code"]) == (429, "limit_reached")
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert refused.headers[LEFT] == "0"
    assert refused.headers["x-ratelimit-limit-requests"] == "2"
    assert answers[0].headers[LEFT] in {"0", "1"}
    chat = http.get("/v1/models", headers=headers)
    assert chat.json()["error"]["type"] == "rate_limit_error"
    with (
        pytest.raises(WebSocketDenialResponse) as denied,
        http.websocket_connect("/v1/responses", headers={**headers, "host": "localhost"}),
    ):
        raise AssertionError
    assert denied.value.status_code == 429


def test_who_has_no_budget_is_told_nothing(http: TestClient, keys: dict[str, str]) -> None:
    for headers in ({}, {"x-api-key": keys["free"]}):
        answer = http.post("/it/run", json={}, headers=headers)
        assert not [name for name in answer.headers if name.startswith("x-ratelimit")]


def test_tokens_that_are_left_are_told(http: TestClient, keys: dict[str, str]) -> None:
    answer = http.post("/it/run", json={}, headers={"x-api-key": keys["tokens"]})
    assert answer.headers["x-ratelimit-limit-tokens"] == "100"
    assert answer.headers["x-ratelimit-remaining-tokens"] == "100"
    assert LEFT not in answer.headers


def test_a_request_that_comes_to_no_run_takes_no_place(
    http: TestClient, keys: dict[str, str]
) -> None:
    headers = {"x-api-key": keys["one"]}
    for _ in range(3):
        assert http.post("/it/run", json={"name": 1}, headers=headers).status_code == 422
        assert http.post("/none/run", json={}, headers=headers).status_code == 404
        assert http.post("/it/run", json={}, headers=headers).status_code == 200
