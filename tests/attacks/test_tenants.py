"""What one key leaves at a real server, and another key tries to get at.

tests/access/test_rules.py asks every route for what belongs to another; here the ids are in bodies,
in headers and on connections that are open for long.
"""

import json
import time
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from websockets.sync.client import ClientConnection, connect

from e2e.started import Process, running
from server.serving import greeting, put, wrapper

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(90)]

# It says all that it got, counts, and waits if it is told to.
TELLS = wrapper(
    """
    def run_api(self, seconds: float = 0) -> int:
        time.sleep(seconds)
        with Path("runs").open("a") as file:
            return file.write("x") and file.tell()

    async def run_chat_completion_async(self, model: str, messages: list, body: dict) -> Any:
        async def words() -> Any:
            if "wait" in str(messages):
                await asyncio.sleep(20)
            yield str(messages)
        return words()
    """,
    top="""
    import asyncio
    import time
    from pathlib import Path
    """,
)
SECRET = "the-secret-of-alice"
QUESTION = {"model": "it", "input": SECRET}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    folder = tmp_path_factory.mktemp("tenants")
    put(folder / "pipelines" / "it", TELLS)
    put(folder / "pipelines" / "hidden", greeting("hidden"))
    put(folder / "pipelines" / "broken", "raise ValueError('hidden too')")
    with running(folder, "--port", "0", HAYSERVE_REQUIRE_KEY="1") as server:
        yield server


class Tenant:
    """Somebody with a key."""

    def __init__(self, server: Process, name: str, *scopes: str) -> None:
        self._server = server
        self._local = {"authorization": f"Bearer {server.key_file.read_text()}"}
        asked = {"name": name, "scopes": scopes or ["run"]}
        self.name = name
        self.key = self._keys("", asked)
        self.http = httpx2.Client(base_url=server.url, timeout=30, trust_env=False)
        self.show(self.key)

    def show(self, key: str) -> None:
        """Call with this text of the key from now on, as soon as the server knows it."""
        self.key = key
        self.http.headers["authorization"] = f"Bearer {key}"
        wait_until(lambda: self.http.get("/v1/models").status_code == 200)

    def rotate(self) -> str:
        return self._keys(f"/{self.name}/rotate", {})

    def revoke(self) -> None:
        answer = self._server.http.delete(f"/keys/{self.name}", headers=self._local)
        assert answer.status_code == 200
        wait_until(lambda: self.http.get("/v1/models").status_code == 401)

    def _keys(self, path: str, body: object) -> str:
        answer = self._server.http.post(f"/keys{path}", json=body, headers=self._local)
        assert answer.status_code == 200, answer.text
        key: str = answer.json()["key"]
        return key

    @contextmanager
    def socket(self) -> Generator[ClientConnection]:
        headers = {"authorization": f"Bearer {self.key}"}
        url = f"{self._server.url.replace('http', 'ws')}/v1/responses"
        with connect(url, additional_headers=headers) as connection:
            yield connection


def wait_until(condition: Any) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def alice(server: Process, request: pytest.FixtureRequest) -> Iterator[Tenant]:
    alice = Tenant(server, f"alice.{abs(hash(request.node.name))}")
    with closing(alice.http):
        yield alice


@pytest.fixture
def mallory(server: Process, request: pytest.FixtureRequest) -> Iterator[Tenant]:
    mallory = Tenant(server, f"mallory.{abs(hash(request.node.name))}")
    with closing(mallory.http):
        yield mallory


def left_by(alice: Tenant) -> dict[str, str]:
    """The ids of what she left."""
    http = alice.http
    chat = {"model": "it", "store": True, "messages": [{"role": "user", "content": SECRET}]}
    items = {"items": [{"role": "user", "content": SECRET}]}
    upload = {"file": (f"{SECRET}.txt", SECRET.encode(), "text/plain")}
    answers = {
        "response": http.post("/v1/responses", json=QUESTION),
        "conversation": http.post("/v1/conversations", json=items),
        "completion": http.post("/v1/chat/completions", json=chat),
        "file": http.post("/v1/files", files=upload, data={"purpose": "user_data"}),
    }
    ids = {kind: answer.json()["id"] for kind, answer in answers.items()}
    listed = http.get(f"/v1/responses/{ids['response']}/input_items").json()
    return {**ids, "item": listed["data"][0]["id"]}


def bodies(ids: dict[str, str]) -> list[tuple[str, dict[str, Any]]]:
    """Requests of somebody else that name them."""
    file = {"type": "input_file", "file_id": ids["file"]}
    image = {"type": "input_image", "file_id": ids["file"]}
    responses: list[dict[str, Any]] = [
        {"previous_response_id": ids["response"], "input": "what did I say?"},
        {"conversation": ids["conversation"], "input": "what did I say?"},
        {"conversation": {"id": ids["conversation"]}, "input": "what did I say?"},
        {"input": [{"role": "user", "content": [file]}]},
        {"input": [{"role": "user", "content": [image]}]},
        {"input": [{"type": "item_reference", "id": ids["item"]}]},
    ]
    part = {"type": "file", "file": {"file_id": ids["file"]}}
    chat = {"model": "it", "messages": [{"role": "user", "content": [part]}]}
    return [
        *(("/v1/responses", {"model": "it", **body}) for body in responses),
        *(("/responses", {"model": "it", "background": True, **body}) for body in responses[:3]),
        *(("/v1/responses", {"model": "it", "stream": True, **body}) for body in responses),
        ("/v1/responses/compact", {"model": "it", "previous_response_id": ids["response"]}),
        ("/v1/chat/completions", chat),
    ]


def test_an_id_in_a_body_opens_nothing_of_others(alice: Tenant, mallory: Tenant) -> None:
    ids = left_by(alice)
    for path, body in bodies(ids):
        answer = mallory.http.post(path, json=body)
        assert answer.status_code in {400, 404}, (body, answer.text)
        assert SECRET not in answer.text, body
        if answer.status_code == 404:  # and she who may gets it
            assert alice.http.post(path, json=body).status_code == 200, body
    with mallory.socket() as connection:
        for path, body in bodies(ids):
            if path == "/v1/responses":
                body.pop("stream", None)
                connection.send(json.dumps({"type": "response.create", **body}))
                event = json.loads(connection.recv(10))
                assert event["type"] == "error", event
                assert event["status"] in {400, 404}
                assert SECRET not in str(event)


def test_lists_and_streams_have_nothing_of_others(alice: Tenant, mallory: Tenant) -> None:
    ids = left_by(alice)
    asked = {"model": "it", "input": "wait", "background": True, "stream": True}
    with alice.http.stream("POST", "/v1/responses", json=asked) as stream:
        first = next(line for line in stream.iter_lines() if line.startswith("data:"))
        running_ = json.loads(first.removeprefix("data:"))["response"]["id"]
        for path in ("/v1/files", "/v1/chat/completions", "/runs", "/usage"):
            text = mallory.http.get(path).text
            assert not [id_ for id_ in (*ids.values(), running_, alice.name) if id_ in text], path
        for after in ("", "&starting_after=0"):
            path = f"/v1/responses/{running_}?stream=true{after}"
            assert mallory.http.get(path).status_code == 404
        for id_ in (running_, running_.removeprefix("resp_")):
            assert mallory.http.delete(f"/runs/{id_}").status_code == 404
        assert mallory.http.post(f"/v1/responses/{running_}/cancel").status_code == 404
        assert alice.http.get(f"/v1/responses/{running_}").json()["status"] == "in_progress"
        for query in (f"?after={ids['file']}", f"?after={ids['completion']}"):
            for path in ("/v1/files", "/v1/chat/completions"):
                assert SECRET not in mallory.http.get(f"{path}{query}").text
        assert alice.http.post(f"/v1/responses/{running_}/cancel").status_code == 200


def test_an_answer_is_repeated_for_its_owner_alone(
    server: Process, alice: Tenant, mallory: Tenant
) -> None:
    def ask(tenant: Tenant) -> httpx2.Response:
        return tenant.http.post("/it/run", json={}, headers={"idempotency-key": "same"})

    first = ask(alice)
    assert ask(alice).json() == first.json()
    assert ask(alice).headers["idempotent-replayed"] == "true"
    other = ask(mallory)
    assert "idempotent-replayed" not in other.headers
    assert other.json() != first.json()

    alice.show(alice.rotate())
    assert ask(alice).json() == first.json()  # a new text is still the same key
    alice.revoke()
    refused = ask(alice)
    assert (refused.status_code, "result" in refused.json()) == (401, False)
    again = Tenant(server, alice.name)
    with closing(again.http):
        assert "idempotent-replayed" not in ask(again).headers


def test_a_connection_ends_to_be_of_use_when_its_key_is_revoked(alice: Tenant) -> None:
    asked = json.dumps({"type": "response.create", "model": "it", "input": "hello"})
    with alice.socket() as connection:
        connection.send(asked)
        while json.loads(connection.recv(10))["type"] != "response.completed":
            pass
        alice.revoke()
        connection.send(asked)
        event = json.loads(connection.recv(10))
    assert (event["type"], event["status"]) == ("error", 401)


def test_a_key_for_one_deployment_learns_of_no_other(server: Process) -> None:
    narrow = Tenant(server, "narrow", "run:it", "run:gone")
    gets = ["/status", "/openapi.json", "/docs", "/redoc", "/v1/models", "/models", "/readyz"]
    gets += [f"/status/{name}" for name in ("it", "gone")]
    gets += ["/v1/models/gone", "/runs", "/usage"]
    with closing(narrow.http) as http:
        texts = {path: http.get(path).text for path in gets}
        texts["run"] = http.post("/gone/run", json={}).text
        chat = {"model": "gone", "messages": [{"role": "user", "content": "hi"}]}
        texts["chat"] = http.post("/v1/chat/completions", json=chat).text
        texts["response"] = http.post("/v1/responses", json={"model": "gone", "input": "x"}).text
        texts["embedding"] = http.post("/v1/embeddings", json={"model": "gone", "input": "x"}).text
        for path, text in texts.items():
            assert not [name for name in ("hidden", "broken") if name in text], (path, text)
        for name in ("hidden", "broken", "not-there"):
            answers = [
                http.post(f"/{name}/run", json={}),
                http.post("/v1/chat/completions", json={**chat, "model": name}),
                http.get(f"/v1/models/{name}"),
                http.get(f"/status/{name}"),
            ]
            assert [answer.status_code for answer in answers] == [403] * 4


def test_files_of_others_have_no_content_here(
    alice: Tenant, mallory: Tenant, tmp_path: Path
) -> None:
    id_ = left_by(alice)["file"]
    mine = mallory.http.post(
        "/v1/files", files={"file": ("a.html", b"<script>", "text/html")}, data={"purpose": "x"}
    ).json()["id"]
    for path in (f"/v1/files/{id_}/content", f"/v1/files/{mine}%2f..%2f{id_}/content"):
        assert mallory.http.get(path).status_code == 404
    shown = mallory.http.get(f"/v1/files/{mine}/content").headers
    assert shown["x-content-type-options"] == "nosniff"
    assert shown["content-disposition"].startswith("attachment")
