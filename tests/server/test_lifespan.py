"""What happens when a server starts and when it stops."""

import os
import sys
import threading
from pathlib import Path

import pytest
from httpx2 import Response
from starlette.testclient import TestClient

from hayserve import create_app
from hayserve.deployments.registry import Registry
from hayserve.deployments.target import targets_at
from hayserve.errors import Misconfigured
from hayserve.server.role import Role
from server.serving import HELLO, Server, greeting, put, serving, settings_in, wrapper

WAITING = wrapper(
    "def run_api(self) -> str:\n    return 'ready'",
    top="import time\nfrom pathlib import Path",
    setup="""
    while not Path({go!r}).exists():
        time.sleep(0.005)
    """,
)


def test_a_server_answers_while_it_still_loads(tmp_path: Path) -> None:
    put(tmp_path / "pipelines" / "fast")
    go = tmp_path / "go"
    put(tmp_path / "pipelines" / "slow", WAITING.format(go=str(go)))
    loaded = threading.Event()
    app = create_app(settings_in(tmp_path), when_loaded=lambda _: loaded.set(), prove=False)
    with TestClient(app, "http://localhost") as http:
        try:
            assert http.get("/healthz").json() == {"status": "ok"}
            while http.post("/fast/run", json={}).status_code != 200:
                pass
            starting = http.get("/readyz")
            assert starting.status_code == 503
            assert starting.json() == {"status": "starting", "loading": ["slow"], "failed": {}}
            _check_is_being_loaded(http.post("/slow/run", json={}))
            body = {"name": "slow", "files": {"pipeline_wrapper.py": HELLO}, "overwrite": True}
            assert http.post("/deploy_files", json=body).status_code == 503
            assert http.post("/undeploy/slow").status_code == 503
        finally:
            go.write_text("")
        assert loaded.wait(timeout=10)
        assert http.get("/readyz").json() == {"status": "ready", "loading": [], "failed": {}}
        assert http.post("/slow/run", json={}).json() == {"result": "ready"}
        assert http.get("/status").json()["pipelines"] == ["fast", "slow"]


def _check_is_being_loaded(answer: Response) -> None:
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.json()["detail"] == "'slow' is being loaded."


def test_what_cannot_be_loaded_does_not_keep_the_rest_from_serving(tmp_path: Path) -> None:
    put(tmp_path / "pipelines" / "exits", "import sys; sys.exit(3)")
    put(tmp_path / "pipelines" / "good")
    put(tmp_path / "pipelines" / "status")
    put(tmp_path / "pipelines" / ".hidden", "raise SystemExit")
    (tmp_path / "pipelines" / "__pycache__").mkdir()
    (tmp_path / "pipelines" / "notes.yml").write_text("a: [")
    (tmp_path / "pipelines" / "README.md").write_text("")
    with serving(tmp_path) as server:
        degraded = server.http.get("/readyz")
        assert server.run("good").status_code == 200
    assert degraded.status_code == 503
    assert degraded.json()["status"] == "degraded"
    assert set(degraded.json()["failed"]) == {"exits", "notes", "status"}
    assert degraded.json()["failed"]["status"] == "The name 'status' is used by the server itself."


def test_of_two_with_one_name_the_first_is_served_and_the_clash_is_told(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    put(tmp_path / "one" / "a", greeting("first"))
    put(tmp_path / "two" / "a", greeting("second"))
    with serving(tmp_path, tmp_path / "one", tmp_path / "two") as server:
        assert server.run("a").json() == {"result": "first"}
        served, clash = server.status()["deployments"]
        assert (served["state"], clash["state"]) == ("Loaded", "Failed")
        assert "the name 'a' is taken by" in clash["error"]["message"]
        assert clash["error"]["code"] == "name_taken"
        assert server.undeploy("a").status_code == 200
        assert server.status()["deployments"] == []


def said(server: Server, names: str) -> list[str | None]:
    return [server.run(name).json().get("result") for name in names]


def test_what_was_deployed_over_a_folder_is_served_until_the_folder_changes(
    tmp_path: Path,
) -> None:
    for name in ("a", "b"):
        put(tmp_path / "pipelines" / name, greeting("folder"))
    with serving(tmp_path) as server:
        server.deploy("a", greeting("deployed"), overwrite=True)
    with serving(tmp_path) as server:
        assert said(server, "ab") == ["deployed", "folder"]
    put(tmp_path / "pipelines" / "a", greeting("changed"))
    with serving(tmp_path) as server:
        assert said(server, "ab") == ["changed", "folder"]


def test_what_a_server_is_not_started_with_any_more_is_not_served(tmp_path: Path) -> None:
    for name in ("a", "b"):
        put(tmp_path / "pipelines" / name, greeting("folder"))
    with serving(tmp_path) as server:
        server.deploy("b", greeting("deployed"), overwrite=True)
        server.deploy("c", greeting("deployed"))
    with serving(tmp_path, tmp_path / "pipelines" / "a") as server:
        assert said(server, "abc") == ["folder", "deployed", "deployed"]
    named = put(tmp_path / "named" / "d", greeting("command line"))
    with serving(tmp_path, named) as server:
        assert said(server, "abcd") == [None, "deployed", "deployed", "command line"]
    with serving(tmp_path) as server:
        assert said(server, "abcd") == ["folder", "deployed", "deployed", None]


def test_what_is_named_on_the_command_line_is_served_although_it_was_undeployed(
    tmp_path: Path,
) -> None:
    folder = put(tmp_path / "a", greeting("one"))
    for _ in range(2):
        with serving(tmp_path, folder) as server:
            assert said(server, "a") == ["one"]
            server.undeploy("a")


def test_a_folder_that_could_not_be_served_is_tried_again(tmp_path: Path) -> None:
    go = tmp_path / "go"
    source = wrapper(
        "def run_api(self) -> str:\n    return 'one'", setup=f"open({str(go)!r}).close()"
    )
    put(tmp_path / "pipelines" / "a", source)
    with serving(tmp_path) as server:
        assert server.status()["status"] == "Degraded"
    go.write_text("")
    with serving(tmp_path) as server:
        assert server.status()["status"] == "Up!"
        assert said(server, "a") == ["one"]


def test_a_database_that_is_damaged_keeps_the_server_from_starting(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        server.deploy("a", HELLO)
    for file in (tmp_path / "data").glob("hayserve.db*"):
        file.write_bytes(b"nothing of use" * 1000)
    with pytest.raises(Misconfigured, match="cannot be opened"), serving(tmp_path):
        pass


def test_a_folder_that_is_not_there_is_an_empty_server(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        assert server.http.get("/readyz").json()["status"] == "ready"
    assert not (tmp_path / "pipelines").exists()


def test_wrappers_import_from_the_additional_python_path(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "shared_by_wrappers.py").write_text("WORD = 'shared'")
    source = wrapper(
        "def run_api(self) -> str:\n    return WORD", top="from shared_by_wrappers import WORD"
    )
    put(tmp_path / "pipelines" / "a", source)
    entry = str(tmp_path / "shared")
    try:
        for _ in range(2):
            with serving(tmp_path, additional_python_path=entry) as server:
                assert server.run("a").json() == {"result": "shared"}
        assert sys.path.count(entry) == 1
    finally:
        sys.path.remove(entry)
        sys.modules.pop("shared_by_wrappers", None)


def test_wrappers_see_the_settings_that_hayhooks_has(tmp_path: Path) -> None:
    source = wrapper(
        "def run_api(self) -> list[Any]:\n    return [settings.port, settings.pipelines_dir]",
        top="from hayhooks.settings import settings",
    )
    put(tmp_path / "pipelines" / "a", source)
    with serving(tmp_path, port=4711) as server:
        assert server.run("a").json() == {"result": [4711, str(tmp_path / "pipelines")]}


def test_variables_that_nothing_reads_are_warned_about(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("HAYHOOKS_DURABLE_MODE", "true")
    with serving(tmp_path):
        pass
    warned = [vars(record).get("variable") for record in caplog.records]
    assert "HAYHOOKS_DURABLE_MODE" in warned
    assert "insecure" in [record.message for record in caplog.records]


def test_a_key_that_cannot_be_written_keeps_the_server_from_starting(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    app = create_app(settings_in(tmp_path, insecure=False, key_file=tmp_path / "file" / "key"))
    with pytest.raises(Misconfigured, match="cannot be written"), TestClient(app):
        pass


def test_a_file_that_changes_is_loaded_again(tmp_path: Path) -> None:
    folder = put(tmp_path / "a", greeting("one"))
    object_file = tmp_path / "objects" / "agents.py"
    object_file.parent.mkdir()
    object_file.write_text(greeting("one"))
    loaded = threading.Event()
    targets = [*targets_at(str(folder)), *targets_at(str(object_file))]

    def when_loaded(_: Registry) -> None:
        loaded.set()

    app = create_app(
        settings_in(tmp_path), targets=targets, reload=True, when_loaded=when_loaded, prove=False
    )
    with TestClient(app, "http://localhost") as http:
        assert loaded.wait(timeout=10)

        def until(name: str, word: str, *, path: Path) -> None:
            # The watch may begin a moment after the start: a change is made until it is seen.
            # Not at every turn, since the watch waits for the end of a series of changes.
            for number in range(500):
                if http.post(f"/{name}/run", json={}).json() == {"result": word}:
                    return
                if number % 20 == 19:
                    os.utime(path, (number, number))
                threading.Event().wait(0.02)
            pytest.fail(f"{name} never said {word}")

        for name, path in (("a", folder / "pipeline_wrapper.py"), ("agents", object_file)):
            until(name, "one", path=path)
            path.write_text(greeting("two"))
            until(name, "two", path=path)


def test_another_worker_of_the_same_run_declares_nothing_and_serves_the_same(
    tmp_path: Path,
) -> None:
    put(tmp_path / "pipelines" / "a", greeting("one"))
    loaded = [threading.Event(), threading.Event()]
    roles = [Role(run="run"), Role(2, declares=False, watches=False, run="run")]
    first, second = (
        create_app(
            settings_in(tmp_path),
            when_loaded=lambda _, event=event: event.set(),
            role=role,
            prove=False,
        )
        for event, role in zip(loaded, roles, strict=True)
    )
    with TestClient(first, "http://localhost") as one:
        assert loaded[0].wait(timeout=10)
        with TestClient(second, "http://localhost") as two:
            assert loaded[1].wait(timeout=10)
            for http in (one, two):
                assert http.post("/a/run", json={}).json() == {"result": "one"}
            assert len(one.get("/status").json()["workers"]) == 2


@pytest.mark.parametrize("setup", ["raise ValueError('code 3')", "import os; os._exit(3)"])
def test_all_that_a_server_is_started_with_is_tried_out_before(tmp_path: Path, setup: str) -> None:
    for name in ("a", "c"):
        put(tmp_path / "pipelines" / name, greeting(name))
    put(tmp_path / "pipelines" / "bad", wrapper(setup=setup))
    put(tmp_path / "pipelines" / "status")
    loaded = threading.Event()
    app = create_app(
        settings_in(tmp_path, startup_deploy_strategy="sequential"),
        when_loaded=lambda _: loaded.set(),
    )
    with TestClient(app, "http://localhost") as http:
        assert loaded.wait(timeout=20)
        for name in ("a", "c"):
            assert http.post(f"/{name}/run", json={}).json() == {"result": name}
        failed = http.get("/readyz").json()["failed"]
        assert set(failed) == {"bad", "status"}
        assert "3" in failed["bad"]
