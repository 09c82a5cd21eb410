"""Keys are made, listed, rotated and revoked over HTTP."""

import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from httpx2 import Response
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Receive, Scope, Send

from hayserve.access.identity import IDENTITY, Identity
from hayserve.access.keys import Keys
from hayserve.access.scopes import ADMIN, DEPLOY, Scopes
from hayserve.errors import StorageUnavailable
from hayserve.protocols.admin.keys import KeyRoutes
from hayserve.server.error_responses import handlers
from hayserve.server.middleware import RunIds
from hayserve.storage.database import Database
from hayserve.wrappers.caller import Caller


class Showing:
    """Says that a key with one scope was shown."""

    def __init__(self, app: ASGIApp, scope: str) -> None:
        self._app = app
        self._identity = Identity(Caller("key", "boss"), scopes=Scopes([scope]))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope.setdefault("state", {})[IDENTITY] = self._identity
        await self._app(scope, receive, send)


def client_of(keys: Keys, scope: str, look: Callable[[], None] = lambda: None) -> TestClient:
    middleware = [Middleware(RunIds), Middleware(Showing, scope)]
    routes = KeyRoutes(keys, look).routes()
    app = Starlette(routes=routes, middleware=middleware, exception_handlers=handlers())
    return TestClient(app, "http://localhost", headers={"x-hayserve-from": "me@here:/"})


@pytest.fixture
def database() -> Iterator[Database]:
    database = Database("sqlite://")
    database.open()
    yield database
    database.close()


@pytest.fixture
def keys(database: Database) -> Keys:
    return Keys(database)


@pytest.fixture
def http(keys: Keys) -> TestClient:
    return client_of(keys, ADMIN)


def made(http: TestClient, **given: Any) -> dict[str, Any]:
    answer = http.post("/keys", json={"name": "web", "scopes": ["run"], **given})
    assert answer.status_code == 200, answer.text
    answered: dict[str, Any] = answer.json()
    return answered


def test_a_key_is_made_and_its_text_told_once(http: TestClient) -> None:
    before = int(time.time())
    answer = http.post("/keys", json={"name": "web", "scopes": ["run:a", "deploy"]})
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    told = answer.json()
    text, created_at = told.pop("key"), told.pop("created_at")
    assert text.startswith(f"{told['prefix']}_")
    assert before <= created_at <= time.time()
    assert told == {
        "name": "web",
        "prefix": text[:15],
        "state": "in use",
        "scopes": ["run:a", "deploy"],
        "budget": {},
        "created_by": "key boss, me@here:/",
        "expires_at": None,
        "revoked_at": None,
        "last_used_at": None,
        "old_key_until": None,
    }
    listed = http.get("/keys")
    assert listed.json() == {"keys": [{**told, "created_at": created_at}]}
    assert "digest" not in listed.text


def test_a_key_can_have_an_end_and_a_budget(http: TestClient) -> None:
    told = made(http, expires_in=60, budget={"tokens_per_day": 1000, "concurrent_runs": None})
    assert told["expires_at"] - told["created_at"] in {60, 61}
    assert told["budget"] == {"tokens_per_day": 1000}


def test_a_key_is_rotated(http: TestClient) -> None:
    first = made(http)
    answer = http.post("/keys/web/rotate")
    assert answer.headers["cache-control"] == "no-store"
    second = answer.json()
    assert second["prefix"] == first["prefix"]
    assert second["key"] != first["key"]
    assert second["old_key_until"] is None
    kept = http.post("/keys/web/rotate", json={"keep_old": 60}).json()
    assert 58 <= kept["old_key_until"] - time.time() <= 60
    assert len(http.get("/keys").json()["keys"]) == 1


def test_a_key_is_revoked_and_its_name_is_free(http: TestClient) -> None:
    made(http)
    answer = http.delete("/keys/web")
    assert (answer.status_code, answer.json()["state"]) == (200, "revoked")
    assert answer.json()["revoked_at"] >= answer.json()["created_at"]
    assert http.delete("/keys/web").status_code == 404
    made(http)
    assert [key["state"] for key in http.get("/keys").json()["keys"]] == ["revoked", "in use"]


def test_one_that_has_expired_is_listed_as_such(http: TestClient, database: Database) -> None:
    Keys(database, clock=lambda: 1000.0).create("old", scopes=["run"], expires_in=60)
    [listed] = http.get("/keys").json()["keys"]
    assert (listed["state"], listed["expires_at"]) == ("expired", 1060)


def test_each_change_is_seen_before_it_is_answered(keys: Keys) -> None:
    seen: list[int] = []
    http = client_of(keys, ADMIN, lambda: seen.append(keys.version()))
    made(http)
    http.post("/keys/web/rotate")
    http.delete("/keys/web")
    assert seen == [1, 2, 3]


def test_a_change_that_cannot_be_seen_is_answered_all_the_same(keys: Keys) -> None:
    def away() -> None:
        raise StorageUnavailable("It does not answer.")

    assert made(client_of(keys, ADMIN, away))["name"] == "web"


def test_a_name_in_use_is_taken(http: TestClient) -> None:
    made(http)
    refused = http.post("/keys", json={"name": "web", "scopes": ["run"]})
    assert (refused.status_code, refused.json()["code"]) == (409, "name_taken")


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({}, "body.name"),
        ({"name": "a"}, "body.scopes"),
        ({"name": "a", "scopes": "run"}, "body.scopes"),
        ({"name": "a", "scopes": ["run"], "admin": True}, "body.admin"),
        ({"name": "a", "scopes": ["run"], "expires_in": 0}, "body.expires_in"),
        ({"name": "a", "scopes": ["run"], "budget": 1}, "body.budget"),
        ({"name": "a", "scopes": ["run"], "budget": {"x": 1}}, "body.budget.x"),
        (
            {"name": "a", "scopes": ["run"], "budget": {"concurrent_runs": 0}},
            "body.budget.concurrent_runs",
        ),
        (
            {"name": "a", "scopes": ["run"], "budget": {"concurrent_runs": True}},
            "body.budget.concurrent_runs",
        ),
    ],
)
def test_a_body_that_is_not_as_it_should_be_is_refused(
    http: TestClient, body: dict[str, Any], where: str
) -> None:
    refused = http.post("/keys", json=body)
    assert refused.status_code == 422
    assert ".".join(map(str, refused.json()["detail"][0]["loc"])) == where


def refusal(answer: Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def test_what_cannot_be_used_is_refused(http: TestClient) -> None:
    bodies: list[dict[str, Any]] = [
        {"name": "a/b", "scopes": ["run"]},
        {"name": "a", "scopes": []},
        {"name": "a", "scopes": ["fly"]},
        {"name": "a", "scopes": ["run"], "expires_in": 1e12},
        {"name": "a", "scopes": ["run"], "budget": {"tokens_per_day": 10**16}},
    ]
    for body in bodies:
        assert refusal(http.post("/keys", json=body)) == (422, "invalid_request")
    for sent in (b"", b"[]", b"\xff", b'{"name": "a", "scopes": ["run"], "expires_in": NaN}'):
        assert refusal(http.post("/keys", content=sent)) == (422, "invalid_input")
    made(http)
    for keep_old in (b"-1", b"NaN", b"Infinity", b"null"):
        sent = b'{"keep_old": ' + keep_old + b"}"
        assert refusal(http.post("/keys/web/rotate", content=sent)) == (422, "invalid_input")
    assert refusal(http.post("/keys", content=b" " * 65_537)) == (413, "too_large")
    assert len(http.get("/keys").json()["keys"]) == 1


@pytest.mark.parametrize("name", ["nobody", "%00", "%ff", "a%20b"])
def test_a_key_that_there_is_not_is_not_found(http: TestClient, name: str) -> None:
    assert refusal(http.post(f"/keys/{name}/rotate")) == (404, "not_found")
    assert refusal(http.delete(f"/keys/{name}")) == (404, "not_found")


@pytest.mark.parametrize("scope", ["run", "run:web", DEPLOY])
def test_keys_are_for_admins(keys: Keys, scope: str) -> None:
    http = client_of(keys, scope)
    keys.create("web", scopes=["run"])
    for answer in (
        http.get("/keys"),
        http.post("/keys", json={"name": "own", "scopes": ["admin"]}),
        http.post("/keys/web/rotate"),
        http.delete("/keys/web"),
    ):
        assert refusal(answer) == (403, "forbidden")
    assert [key.revoked_at for key in keys.all()] == [None]


def test_the_log_says_who_did_what_and_never_the_text(
    http: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="hayserve.access")
    texts = [made(http)["key"], http.post("/keys/web/rotate").json()["key"]]
    http.delete("/keys/web")
    said = [(record.message, vars(record)["key"], vars(record)["by"]) for record in caplog.records]
    by = "key boss, me@here:/"
    assert said == [
        ("key_created", "web", by),
        ("key_rotated", "web", by),
        ("key_revoked", "web", by),
    ]
    told = " ".join(str(vars(record)) for record in caplog.records)
    assert not [text for text in texts if text in told or text.split("_", 2)[2] in told]
