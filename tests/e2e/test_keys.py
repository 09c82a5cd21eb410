"""Keys at a server with two workers: who is let in where, and for how long."""

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import openai
import pytest
from openai import OpenAI

from e2e.started import Process, hayserve, running
from server.serving import put, wrapper

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

WORKING = wrapper(
    """
    def run_api(self) -> int:
        return os.getpid()

    def run_chat_completion(
        self, model: str, messages: list[dict[str, Any]], body: dict[str, Any]
    ) -> str:
        return f"{model} says hello"
    """,
    top="import os",
)
SECONDS = 2.0  # it is done within one; the machine may be slow


class Server(Process):
    """A server that lets nobody in without a key."""

    def made(self, name: str, *scopes: str) -> str:
        """A new key that all workers know."""
        words = [word for scope in scopes for word in ("--scope", scope)]
        told = self.command("keys", "create", name, *words)
        assert told.returncode == 0, told.stderr
        key = told.stdout.strip()
        for client in self.everywhere():
            within(SECONDS, lambda client=client: self.status(client, key) != 401)
        return key

    def everywhere(self) -> list[httpx2.Client]:
        """A connection to each worker, which stays there."""
        if not hasattr(self, "_clients"):
            self._clients = dict[str, httpx2.Client]()
            workers = set(re.findall(r"worker_started worker=\d+ pid=(\d+)", self.log.read_text()))
            while set(self._clients) < workers:
                client = httpx2.Client(base_url=self.url, timeout=20, trust_env=False)
                headers = {"Authorization": f"Bearer {self.key_file.read_text()}"}
                pid = str(client.post("/one/run", json={}, headers=headers).json()["result"])
                if pid in self._clients:
                    client.close()
                else:
                    self._clients[pid] = client
        return list(self._clients.values())

    def status(self, client: httpx2.Client, key: str, name: str = "one") -> int:
        headers = {"Authorization": f"Bearer {key}"}
        return client.post(f"/{name}/run", json={}, headers=headers).status_code

    def openai(self, key: str) -> OpenAI:
        return OpenAI(base_url=f"{self.url}/v1", api_key=key, max_retries=0)

    def close(self) -> None:
        for client in self.everywhere():
            client.close()
        self.stop()


def within(seconds: float, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("keys")
    for name in ("one", "two"):
        put(folder / "pipelines" / name, WORKING)
    server = Server(folder, "--workers", "2", "--port", "0", HAYSERVE_REQUIRE_KEY="1")
    try:
        yield server
    finally:
        server.close()


def test_a_key_is_accepted_as_bearer_and_as_x_api_key(server: Server) -> None:
    key = server.made("accepted", "run")
    for headers in (
        {"Authorization": f"Bearer {key}"},
        {"authorization": f"bearer {key}"},
        {"X-API-Key": key},
    ):
        assert server.http.post("/one/run", json={}, headers=headers).status_code == 200
    for wrong in ({}, {"Authorization": f"Basic {key}"}, {"X-API-Key": key[:-1] + "~"}):
        assert server.http.post("/one/run", json={}, headers=wrong).status_code == 401


def test_a_revoked_key_is_refused_by_all_workers_within_a_second(server: Server) -> None:
    key = server.made("revoked", "run")
    admin = {"Authorization": f"Bearer {server.key_file.read_text()}"}
    assert [server.status(client, key) for client in server.everywhere()] == [200, 200]
    assert server.http.delete("/keys/revoked", headers=admin).status_code == 200
    revoked = time.monotonic()
    for client in server.everywhere():
        left = SECONDS - (time.monotonic() - revoked)
        within(left, lambda client=client: server.status(client, key) == 401)
    assert [server.status(client, key) for client in server.everywhere()] == [401, 401]


def test_a_rotated_key_has_one_text_or_two_for_a_while(server: Server) -> None:
    first = server.made("rotated", "run")
    second = server.command("keys", "rotate", "rotated", "--keep-old", "1h").stdout.strip()
    for client in server.everywhere():
        within(SECONDS, lambda client=client: server.status(client, second) == 200)
        assert server.status(client, first) == 200
    third = server.command("keys", "rotate", "rotated").stdout.strip()
    for client in server.everywhere():
        within(SECONDS, lambda client=client: server.status(client, third) == 200)
        assert server.status(client, first) == 401
        assert server.status(client, second) == 401


def test_openais_client_shows_the_key(server: Server) -> None:
    with server.openai(server.made("openai", "run")) as client:
        answer = client.chat.completions.create(
            model="one", messages=[{"role": "user", "content": "Hi"}]
        )
        assert answer.choices[0].message.content == "one says hello"
    with (
        server.openai("sk-of-another-server") as client,
        pytest.raises(openai.AuthenticationError),
    ):
        client.models.list()


def test_a_key_for_one_deployment_sees_and_runs_that_one(server: Server) -> None:
    key = server.made("narrow", "run:one")
    assert server.status(server.http, key) == 200
    assert server.status(server.http, key, "two") == 403
    assert server.status(server.http, key, "absent") == 403
    with server.openai(key) as client:
        assert [model.id for model in client.models.list()] == ["one"]
        with pytest.raises(openai.PermissionDeniedError):
            client.models.retrieve("two")
        with pytest.raises(openai.PermissionDeniedError):
            client.responses.create(model="two", input="Hi")
    seen = server.http.get("/status", headers={"X-API-Key": key}).json()["pipelines"]
    assert seen == ["one"]
    deploy = server.http.post("/undeploy/one", headers={"X-API-Key": key})
    assert deploy.status_code == 403


def test_what_one_key_leaves_is_not_there_for_another(server: Server) -> None:
    with (
        server.openai(server.made("mine", "run")) as mine,
        server.openai(server.made("yours", "run")) as yours,
    ):
        response = mine.responses.create(model="one", input="Hi")
        file = mine.files.create(file=("a.txt", b"secret"), purpose="user_data")
        conversation = mine.conversations.create(items=[{"role": "user", "content": "secret"}])
        assert mine.responses.retrieve(response.id).id == response.id
        assert mine.files.content(file.id).read() == b"secret"
        assert mine.conversations.retrieve(conversation.id).id == conversation.id
        for hidden in (
            lambda: yours.responses.retrieve(response.id),
            lambda: yours.responses.delete(response.id),
            lambda: yours.files.retrieve(file.id),
            lambda: yours.files.content(file.id),
            lambda: yours.files.delete(file.id),
            lambda: yours.conversations.retrieve(conversation.id),
            lambda: yours.conversations.items.list(conversation.id),
            lambda: yours.conversations.delete(conversation.id),
        ):
            with pytest.raises(openai.NotFoundError):
                hidden()
        assert list(yours.files.list()) == []
        assert [one.id for one in mine.files.list()] == [file.id]
        assert mine.responses.retrieve(response.id).output_text == "one says hello"


@pytest.mark.parametrize("workers", [[], ["--workers", "1"]])
def test_with_a_key_a_server_listens_beyond_loopback_and_asks_for_it(
    tmp_path: Path, workers: list[str]
) -> None:
    put(tmp_path / "pipelines" / "one", WORKING)
    words = ["--host", "0.0.0.0", "--port", "0", *workers]
    refused = hayserve(tmp_path, "run", *words)
    assert refused.returncode == 1
    assert "`hayserve keys create NAME --scope run`" in refused.stderr
    made = hayserve(tmp_path, "keys", "create", "web", "--scope", "run", HAYSERVE_PORT="1")
    assert made.returncode == 0, made.stderr
    assert f"in the database sqlite:///{tmp_path}/.hayserve/hayserve.db" in made.stderr
    key = {"Authorization": f"Bearer {made.stdout.strip()}"}
    with running(tmp_path, *words) as server:
        assert server.http.post("/one/run", json={}).status_code == 401
        assert server.http.post("/one/run", json={}, headers=key).status_code == 200
        told = server.command("keys", "list")
        assert told.returncode == 0, told.stderr
        assert " insecure " not in server.log.read_text()
