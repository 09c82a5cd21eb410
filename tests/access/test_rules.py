"""Every route of the server, and who may call it: a route without a rule fails here."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from httpx2 import Response
from starlette.routing import BaseRoute
from starlette.testclient import TestClient, WebSocketDenialResponse

from hayserve.access.keys import Keys
from hayserve.access.rules import Rule
from hayserve.protocols.described import RuledRoute, RuledSocket
from hayserve.server.app import create_app
from hayserve.server.parts import database_url
from hayserve.storage.database import Database
from server.serving import HELLO, put, settings_in

PASSES = 0
CALLERS = {
    "run": ["run"],
    "other": ["run"],
    "one": ["run:it"],
    "deploy": ["deploy"],
    "admin": ["admin"],
    "both": ["run", "deploy"],
}
# By rule: what who shows nothing is answered on loopback, and where a key is required, then a key
# that is wrong, and one with each of the scopes.
EXPECTED: dict[Rule, dict[str, int]] = {
    Rule.OPEN: dict.fromkeys(["open", "closed", "wrong", *CALLERS], PASSES),
    Rule.SEE: {"closed": 401, "wrong": 401},
    Rule.RUN: {"closed": 401, "wrong": 401, "deploy": 403},
    Rule.RUNS: {"open": 401, "closed": 401, "wrong": 401, "deploy": 403},
    Rule.DEPLOY: {"open": 401, "closed": 401, "wrong": 401, "run": 403, "other": 403, "one": 403},
    Rule.ADMIN: {
        "open": 401,
        "closed": 401,
        "wrong": 401,
        "run": 403,
        "other": 403,
        "one": 403,
        "deploy": 403,
        "both": 403,
    },
}
# Which rule each route has: a route that is new, or whose rule is changed, is to be named here.
RULES: dict[str, Rule] = {
    "GET /healthz": Rule.OPEN,
    "GET /readyz": Rule.OPEN,
    "GET /docs": Rule.SEE,
    "GET /models": Rule.SEE,
    "GET /models/{id:path}": Rule.SEE,
    "GET /openapi.json": Rule.SEE,
    "GET /redoc": Rule.SEE,
    "GET /status": Rule.SEE,
    "GET /status/{name}": Rule.SEE,
    "GET /runs": Rule.RUNS,
    "DELETE /runs/{id}": Rule.RUNS,
    "GET /usage": Rule.RUNS,
    "GET /metrics": Rule.RUNS,
    "POST /deploy_files": Rule.DEPLOY,
    "POST /deploy-yaml": Rule.DEPLOY,
    "POST /undeploy/{name}": Rule.DEPLOY,
    "PUT /deployments/{name}": Rule.DEPLOY,
    "POST /deployments/{name}/rollback": Rule.DEPLOY,
    "POST /deployments/{name}/aliases": Rule.DEPLOY,
    "GET /deployments/{name}/history": Rule.DEPLOY,
    "GET /deployments/{name}/diff": Rule.DEPLOY,
    "GET /keys": Rule.ADMIN,
    "POST /keys": Rule.ADMIN,
    "POST /keys/{name}/rotate": Rule.ADMIN,
    "DELETE /keys/{name}": Rule.ADMIN,
    "POST /{name}/run": Rule.RUN,
    "POST /chat/completions": Rule.RUN,
    "GET /chat/completions": Rule.RUN,
    "GET /chat/completions/{completion_id}": Rule.RUN,
    "POST /chat/completions/{completion_id}": Rule.RUN,
    "DELETE /chat/completions/{completion_id}": Rule.RUN,
    "GET /chat/completions/{completion_id}/messages": Rule.RUN,
    "POST /embeddings": Rule.RUN,
    "POST /responses": Rule.RUN,
    "WEBSOCKET /responses": Rule.RUN,
    "POST /responses/compact": Rule.RUN,
    "GET /responses/{response_id}": Rule.RUN,
    "DELETE /responses/{response_id}": Rule.RUN,
    "POST /responses/{response_id}/cancel": Rule.RUN,
    "GET /responses/{response_id}/input_items": Rule.RUN,
    "POST /conversations": Rule.RUN,
    "GET /conversations/{conversation_id}": Rule.RUN,
    "POST /conversations/{conversation_id}": Rule.RUN,
    "DELETE /conversations/{conversation_id}": Rule.RUN,
    "GET /conversations/{conversation_id}/items": Rule.RUN,
    "POST /conversations/{conversation_id}/items": Rule.RUN,
    "GET /conversations/{conversation_id}/items/{item_id}": Rule.RUN,
    "DELETE /conversations/{conversation_id}/items/{item_id}": Rule.RUN,
    "POST /files": Rule.RUN,
    "GET /files": Rule.RUN,
    "GET /files/{file_id}": Rule.RUN,
    "DELETE /files/{file_id}": Rule.RUN,
    "GET /files/{file_id}/content": Rule.RUN,
}


class House:
    """A server on loopback and one that requires a key, on one database, and a key of each kind."""

    def __init__(self, http: dict[str, TestClient], keys: dict[str, str]) -> None:
        self.http = http
        self.keys = keys

    def answer(self, caller: str, method: str, path: str, **what: Any) -> Response:
        headers = {"authorization": f"Bearer {self.keys[caller]}"} if caller in self.keys else {}
        http = self.http["open" if caller == "open" else "closed"]
        if method != "WEBSOCKET":
            return http.request(method, path, headers=headers, **what)
        try:
            with http.websocket_connect(path, headers={**headers, "host": "localhost"}):
                return Response(101)
        except WebSocketDenialResponse as refused:
            return Response(refused.status_code, content=refused.content)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("house")
    put(folder / "pipelines" / "it")
    settings = settings_in(folder, insecure=False, open_hosts=["testserver"])
    database = Database(database_url(settings))
    database.open()
    try:
        keys = {
            name: Keys(database).create(name, scopes=scopes)[1] for name, scopes in CALLERS.items()
        }
    finally:
        database.close()
    keys["wrong"] = f"hs_{'0' * 12}_{'a' * 43}"
    closed = settings.model_copy(update={"require_key": True, "key_file": folder / "other"})
    apps = {
        "open": create_app(settings, prove=False),
        "closed": create_app(closed, prove=False),
    }
    with (
        TestClient(apps["open"], "http://localhost", raise_server_exceptions=False) as on_loopback,
        TestClient(apps["closed"], "http://localhost", raise_server_exceptions=False) as strict,
    ):
        yield House({"open": on_loopback, "closed": strict}, keys)


def routes() -> list[BaseRoute]:
    return [*create_app(settings_in(Path("nowhere"))).routes]


def named(route: BaseRoute) -> str:
    assert isinstance(route, RuledRoute | RuledSocket), f"{route} has no rule"
    method = route.method if isinstance(route, RuledRoute) else "WEBSOCKET"
    return f"{method} {route.path}"


def test_every_route_has_the_rule_that_stands_here() -> None:
    found = {
        named(route).replace(" /v1/", " /"): route.allows
        for route in routes()
        if isinstance(route, RuledRoute | RuledSocket)
    }
    assert found == RULES
    assert all(isinstance(route, RuledRoute | RuledSocket) for route in routes())


@pytest.mark.parametrize("caller", ["open", "closed", "wrong", *CALLERS])
@pytest.mark.parametrize("route", sorted(RULES))
def test_who_may_call_a_route_may_and_nobody_else(house: House, route: str, caller: str) -> None:
    method, path = route.split()
    for path_of_it in {path, f"/v1{path}"} & {named(one).split()[1] for one in routes()}:
        filled = path_of_it.replace("{name}", "it").replace("{id:path}", "it")
        filled = "/".join("x" if part.startswith("{") else part for part in filled.split("/"))
        answer = house.answer(caller, method, filled)
        expected = EXPECTED[RULES[route]].get(caller, PASSES)
        refused = answer.status_code if answer.status_code in (401, 403) else PASSES
        assert refused == expected, answer.text


THINGS: dict[str, tuple[str, dict[str, Any]]] = {
    "response": ("/v1/responses", {"model": "it", "input": "hi"}),
    "conversation": ("/v1/conversations", {}),
    "completion": (
        "/v1/chat/completions",
        {"model": "it", "store": True, "messages": [{"role": "user", "content": "hi"}]},
    ),
}


def test_what_one_key_leaves_is_not_there_for_another(house: House) -> None:
    source = (
        HELLO + "\n    def run_chat_completion(self, model, messages, body):\n        return 'Hi'\n"
    )
    body = {"name": "it", "files": {"pipeline_wrapper.py": source}, "overwrite": True}
    assert house.answer("admin", "POST", "/deploy_files", json=body).status_code == 200
    ids = {
        kind: house.answer("run", "POST", path, json=asked).json()["id"]
        for kind, (path, asked) in THINGS.items()
    }
    files = {"file": ("a.txt", b"text")}
    uploaded = house.answer("run", "POST", "/v1/files", files=files, data={"purpose": "user_data"})
    ids["file"] = uploaded.json()["id"]
    theirs = [route for route in RULES if any(f"{{{kind}_id}}" in route for kind in ids)]
    for route in sorted(theirs, key=lambda route: route.startswith("DELETE")):
        method, path = route.split()
        for kind, id_ in ids.items():
            path = path.replace(f"{{{kind}_id}}", id_)
        what: dict[str, Any] = {"json": {"metadata": {}}} if method == "POST" else {}
        path = path.replace("{item_id}", "x")
        for caller in ("other", "admin", "one"):
            answer = house.answer(caller, method, f"/v1{path}", **what)
            assert answer.status_code == 404, (route, caller, answer.text)
        if "{item_id}" not in route:
            answer = house.answer("run", method, f"/v1{path}", **what)
            assert answer.status_code in (200, 400), (route, answer.text)


def test_a_list_has_what_is_ones_own(house: House) -> None:
    house.answer("both", "POST", "/v1/files", files={"file": ("a", b"b")}, data={"purpose": "x"})
    lists = {
        caller: len(house.answer(caller, "GET", "/v1/files").json()["data"])
        for caller in ("both", "other", "admin")
    }
    assert lists == {"both": 1, "other": 0, "admin": 0}
