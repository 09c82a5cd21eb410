"""Deploying over HTTP: what is accepted, refused, kept and forgotten."""

import base64
import gc
import os
import sys
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from httpx2 import Response

from hayserve.deployments.archive import pack
from hayserve.deployments.members import this_node
from hayserve.deployments.reserved import RESERVED
from server.serving import HELLO, Server, greeting, put, serving, wrapper

ECHO_YAML = """
components:
  prompt:
    type: haystack.components.builders.prompt_builder.PromptBuilder
    init_parameters:
      template: "Hi {{ name }}"
inputs:
  name: prompt.name
outputs:
  text: prompt.prompt
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with serving(tmp_path) as server:
        yield server


def detail_of(response: Response) -> str:
    body = response.json()
    return f"{body['detail']} {body['hint']}"


def test_a_wrapper_that_was_deployed_answers(server: Server) -> None:
    answer = server.deploy("hello", HELLO)
    assert answer.status_code == 200
    digest = answer.json()["digest"]
    assert answer.json() == {
        "name": "hello",
        "success": True,
        "changed": True,
        "endpoint": "/hello/run",
        "aliases": [],
        "revision": 1,
        "digest": digest,
        "workers": 1,
        "note": "",
        "answer": None,
    }
    assert len(digest) == 64
    assert server.run("hello", name="Ada").json() == {"result": "Hello, Ada!"}


def test_a_pipeline_in_yaml_answers(server: Server) -> None:
    body = {"name": "echo", "source_code": ECHO_YAML, "description": "Says hi.", "skip_mcp": True}
    answer = server.http.post("/deploy-yaml", json=body)
    assert answer.status_code == 200, answer.text
    assert server.run("echo", name="Ada").json() == {"result": {"text": "Hi Ada"}}
    [entry] = server.status()["deployments"]
    assert (entry["description"], entry["type"]) == ("Says hi.", "pipeline")
    assert "mcp_eligible" not in entry["capabilities"]


def test_a_wrapper_with_a_pipeline_beside_it_is_still_a_wrapper(server: Server) -> None:
    files = {"pipeline_wrapper.py": HELLO, "pipeline.yml": ECHO_YAML}
    assert server.deploy("hello", files=files).status_code == 200
    assert server.run("hello").json() == {"result": "Hello, you!"}


def test_files_that_are_not_text_arrive_as_they_are(server: Server) -> None:
    source = wrapper(
        """
        def run_api(self) -> list[int]:
            return list((Path(__file__).parent / "data.bin").read_bytes())
        """,
        top="from pathlib import Path",
    )
    data = {"base64": base64.b64encode(b"\x89PNG\r\n\xff").decode()}
    files = {"pipeline_wrapper.py": source, "data.bin": data}
    assert server.deploy("binary", files=files).status_code == 200
    assert server.run("binary").json() == {"result": [0x89, 0x50, 0x4E, 0x47, 13, 10, 0xFF]}


def test_a_name_that_is_taken_needs_overwrite(server: Server) -> None:
    server.deploy("hello", greeting("one"))
    refused = server.deploy("hello", greeting("two"))
    assert refused.status_code == 409
    assert refused.json()["detail"] == "Pipeline 'hello' already exists."
    assert server.run("hello").json() == {"result": "one"}
    assert server.deploy("hello", greeting("two"), overwrite=True).status_code == 200
    assert server.run("hello").json() == {"result": "two"}


def test_aliases_are_more_names_of_one_instance(server: Server) -> None:
    source = wrapper("def run_api(self) -> int:\n    return id(self)")
    deployed = server.deploy("model", source, aliases=["gpt-4o-mini", "model", "modèle"])
    assert deployed.json()["aliases"] == ["gpt-4o-mini", "modèle"]
    answers = [server.run(name).json()["result"] for name in ("model", "gpt-4o-mini", "modèle")]
    assert len(set(answers)) == 1
    assert server.http.get("/status/gpt-4o-mini").json()["deployment"]["name"] == "model"


def test_aliases_stay_unless_others_are_given(server: Server) -> None:
    server.deploy("model", HELLO, aliases=["gpt-4o-mini", "openai/gpt-4o", "qwen3:8b"])
    kept = server.deploy("model", HELLO, overwrite=True)
    assert kept.json()["aliases"] == ["gpt-4o-mini", "openai/gpt-4o", "qwen3:8b"]
    assert server.run("qwen3:8b").status_code == 200
    dropped = server.deploy("model", HELLO, overwrite=True, aliases=[])
    assert dropped.json()["aliases"] == []
    assert server.run("gpt-4o-mini").status_code == 404


def test_an_alias_that_is_anothers_name_is_refused(server: Server) -> None:
    server.deploy("one", HELLO)
    refused = server.deploy("two", HELLO, aliases=["one"])
    assert refused.status_code == 409
    assert refused.json()["detail"] == "The name 'one' belongs to the deployment 'one'."
    assert server.run("two").status_code == 404


def test_undeploying_takes_all_names_away_and_is_not_done_by_an_alias(server: Server) -> None:
    server.deploy("one", HELLO, aliases=["uno"])
    refused = server.undeploy("uno")
    assert refused.status_code == 422
    assert refused.json()["detail"] == "'uno' is an alias of 'one'."
    assert server.run("uno").status_code == 200
    assert server.undeploy("one").json() == {"success": True, "name": "one", "workers": 1}
    assert [server.run(name).status_code for name in ("one", "uno")] == [404, 404]
    assert server.undeploy("one").status_code == 404


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "a\\b", "C:", "a b", "{x}", ".dot", "a" * 300]
)
def test_names_that_cannot_be_a_path_are_refused(server: Server, name: str) -> None:
    refused = server.deploy(name, HELLO)
    assert refused.status_code == 422
    assert "name" in refused.json()["detail"]


@pytest.mark.parametrize("name", sorted(RESERVED))
def test_names_that_the_server_uses_are_refused(server: Server, name: str) -> None:
    refused = server.deploy(name, HELLO)
    assert refused.status_code == 422
    assert refused.json()["detail"] == f"The name {name!r} is used by the server itself."
    assert server.deploy("free", HELLO, aliases=[name]).status_code == 422


@pytest.mark.parametrize("name", ["chat", "files", "responses", "json", "asyncio", "日本"])
def test_names_that_only_look_special_are_served(server: Server, name: str) -> None:
    assert server.deploy(name, HELLO).status_code == 200
    assert server.run(name).json() == {"result": "Hello, you!"}
    refused = server.http.post(f"/{name}/run", json={"name": [1]})
    assert refused.status_code == 422
    assert isinstance(refused.json()["detail"], list)


@pytest.mark.parametrize(
    "key", ["", "/etc/x.py", "../x.py", "a/../x.py", "a//x.py", "C:x.py", "a\\x.py", "./x.py"]
)
def test_files_outside_of_the_folder_are_refused(server: Server, key: str) -> None:
    refused = server.deploy("bad", files={"pipeline_wrapper.py": HELLO, key: "secret = 1"})
    assert refused.status_code == 422
    assert "secret" not in refused.text


def test_a_bundle_without_a_wrapper_is_refused(server: Server) -> None:
    refused = server.deploy("bad", files={"pipeline.yml": ECHO_YAML})
    assert refused.status_code == 422
    assert "'pipeline_wrapper.py'" in refused.json()["detail"]


@pytest.mark.parametrize(
    ("body", "where", "said"),
    [
        (b"{", ["body"], "Invalid JSON: EOF while parsing an object at line 1 column 1"),
        (b"[]", ["body"], "Input should be an object"),
        (b'{"files": {}}', ["body", "name"], "Field required"),
        (
            b'{"name": "a", "files": {"x.py": 7}}',
            ["body", "files", "x.py"],
            'Value error, a file is its text, or {"base64": "..."}',
        ),
        (
            b'{"name": "a", "files": {"x.py": {"base64": "?"}}}',
            ["body", "files", "x.py"],
            "Value error, is not base64: Only base64 data is allowed",
        ),
    ],
)
def test_what_is_no_order_is_refused_without_repeating_it(
    server: Server, *, body: bytes, where: list[str], said: str
) -> None:
    refused = server.http.post("/deploy_files", content=body)
    assert refused.status_code == 422
    problem = refused.json()["detail"][0]
    assert (problem["loc"], problem["msg"]) == (where, said)
    assert set(problem) == {"type", "loc", "msg"}


SECRET = "token = 'do-not-tell'\n"

REFUSED = {
    "syntax": (SECRET + "def broken(:\n", "pipeline_wrapper.py line 2"),
    "import": (SECRET + "import nowhere_at_all\n", "No module named 'nowhere_at_all'"),
    "line": (SECRET + "\nraise ValueError('no such city')\n", "pipeline_wrapper.py line 3"),
    "class": (SECRET, "defines no class 'PipelineWrapper'"),
    "base": (SECRET + "class PipelineWrapper: ...\n", "not a subclass of 'BasePipelineWrapper'"),
    "exit": (SECRET + "import sys; sys.exit(3)\n", "SystemExit: 3"),
    "abstract": (
        SECRET + "from hayserve import BasePipelineWrapper as B\nclass PipelineWrapper(B): ...\n",
        "'PipelineWrapper' defines no `setup()`.",
    ),
    "init exit": (
        wrapper("def __init__(self):\n    import sys\n    sys.exit(3)", top=SECRET),
        "SystemExit: 3",
    ),
    "setup": (
        wrapper(top=SECRET, setup="raise ValueError('no model')"),
        "setup() of 'bad' failed at pipeline_wrapper.py line 6: ValueError: no model",
    ),
    "setup exit": (wrapper(top=SECRET, setup="import sys; sys.exit('bye')"), "SystemExit: bye"),
    "setup stop": (wrapper(top=SECRET, setup="next(iter([]))"), "setup() of 'bad' failed"),
    "no method": (wrapper(top=SECRET), "'bad' defines no method that runs"),
    "only uploads": (
        wrapper("def run_file_upload(self, *a): ...", top=SECRET),
        "defines no method that runs",
    ),
    "untyped": (
        wrapper("def run_api(self, *args) -> str: ...", top=SECRET),
        "has no place in a request",
    ),
    "odd property": (
        wrapper("@property\ndef run_api(self):\n    raise RuntimeError('odd')", top=SECRET),
        "'bad' cannot be served at pipeline_wrapper.py line 9: RuntimeError: odd",
    ),
    "label": (
        wrapper("def run_api(self): ...\ndeployment_type = 'robot'", top=SECRET),
        "`deployment_type` is 'robot'",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_code_that_cannot_be_served_is_refused_with_the_reason(server: Server, case: str) -> None:
    source, said = REFUSED[case]
    server.deploy("other", HELLO)
    refused = server.deploy("bad", source)
    assert refused.status_code == 422, refused.text
    assert said in detail_of(refused)
    assert refused.json()["code"] == "deploy_refused"
    assert "do-not-tell" not in refused.text
    assert "/" not in refused.json()["detail"]
    assert server.run("bad").status_code == 404
    assert server.run("other").status_code == 200


def test_yaml_that_cannot_be_read_is_refused(server: Server) -> None:
    for text in ("", "a: [", "just text", "components: 7", "inputs: {a: b.c}"):
        refused = server.http.post("/deploy-yaml", json={"name": "y", "source_code": text})
        assert refused.status_code == 422, (text, refused.text)


def test_the_old_one_serves_on_if_the_new_one_fails(server: Server) -> None:
    server.deploy("hello", greeting("one"))
    assert server.deploy("hello", "import nowhere", overwrite=True).status_code == 422
    assert server.run("hello").json() == {"result": "one"}


def test_an_async_setup_is_awaited(server: Server) -> None:
    source = wrapper("def run_api(self) -> int:\n    return self.ready")
    source = source.replace(
        "def setup(self) -> None:\n        pass", "async def setup(self):\n        self.ready = 1"
    )
    server.deploy("async", source)
    assert server.run("async").json() == {"result": 1}


def test_a_redeploy_under_load_loses_no_request(server: Server) -> None:
    server.deploy("hello", greeting("0"))
    done = threading.Event()
    seen: list[tuple[int, str]] = []

    def ask() -> None:
        while not done.is_set():
            answer = server.run("hello")
            seen.append((answer.status_code, answer.text))

    askers = [threading.Thread(target=ask) for _ in range(4)]
    for asker in askers:
        asker.start()
    for number in range(1, 21):
        assert server.deploy("hello", greeting(str(number)), overwrite=True).status_code == 200
    done.set()
    for asker in askers:
        asker.join()
    assert {status for status, _ in seen} == {200}
    assert server.run("hello").json() == {"result": "20"}


KEPT_ALIVE = wrapper(
    """
    def run_api(self, items: list[Thing] | None = None) -> list[Thing]:
        return []
    """,
    top="""
    from dataclasses import dataclass
    @dataclass
    class Thing:
        name: str
    """,
)


def test_what_is_replaced_is_given_back(server: Server) -> None:
    server.deploy("replaced", KEPT_ALIVE)
    server.run("replaced")
    before = _instances("replaced")
    assert len(before) == 1
    server.deploy("replaced", greeting("new"), overwrite=True)
    server.run("replaced")
    gc.collect()
    assert before[0]() is None
    assert len(_modules("replaced")) == 2  # the package and its pipeline_wrapper
    server.undeploy("replaced")
    gc.collect()
    assert _modules("replaced") == []


def _modules(name: str) -> list[str]:
    return [module for module in sys.modules if module.partition(".")[0].endswith(f"_{name}")]


def _instances(name: str) -> list[weakref.ref[object]]:
    loaded = [getattr(sys.modules[module], "PipelineWrapper", None) for module in _modules(name)]
    classes = tuple(found for found in loaded if isinstance(found, type))
    return [weakref.ref(thing) for thing in gc.get_objects() if type(thing) in classes]


def test_what_was_deployed_is_there_after_a_restart(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        server.deploy("kept", greeting("kept"), aliases=["k"], description="Stays.")
        server.deploy("passing", greeting("passing"), save_files=False)
        server.deploy("gone", greeting("gone"))
        server.undeploy("gone")
    with serving(tmp_path) as server:
        assert server.run("k").json() == {"result": "kept"}
        assert server.status()["pipelines"] == ["kept"]
        assert server.status()["deployments"][0]["description"] == "Stays."
        assert server.status()["deployments"][0]["origin"] == "deployed"


def test_a_failed_deployment_can_be_deployed_over_or_forgotten(tmp_path: Path) -> None:
    for name in ("one", "two", "not a name"):
        put(tmp_path / "pipelines" / name, "import nowhere")
    with serving(tmp_path) as server:
        assert server.http.get("/readyz").status_code == 503
        assert server.deploy("one", HELLO).status_code == 200
        assert server.undeploy("two").status_code == 200
        assert server.undeploy("not a name").status_code == 200
        assert server.status()["status"] == "Up!"
        assert server.http.get("/readyz").status_code == 200
    assert sorted(path.name for path in (tmp_path / "pipelines").iterdir()) == [
        "not a name",
        "one",
        "two",
    ]


def test_files_of_users_are_never_touched(tmp_path: Path) -> None:
    folder = put(tmp_path / "pipelines" / "mine", greeting("mine"), **{"data.db": "precious"})
    with serving(tmp_path) as server:
        assert server.deploy("mine", greeting("new"), overwrite=True).status_code == 200
        assert server.undeploy("mine").status_code == 200
        assert server.run("mine").status_code == 404
    assert (folder / "data.db").read_text() == "precious"
    assert (folder / "pipeline_wrapper.py").read_text() == greeting("mine")


def test_what_was_undeployed_stays_so_until_its_files_change(tmp_path: Path) -> None:
    put(tmp_path / "pipelines" / "mine", greeting("mine"))
    with serving(tmp_path) as server:
        note = server.undeploy("mine").json()["note"]
    assert note.startswith("Its files stay where they are")
    with serving(tmp_path) as server:
        assert server.run("mine").status_code == 404
    put(tmp_path / "pipelines" / "mine", greeting("changed"))
    with serving(tmp_path) as server:
        assert server.run("mine").json() == {"result": "changed"}


def test_a_disk_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        (tmp_path / "data" / "bundles").write_text("not a folder")
        refused = server.deploy("hello", HELLO)
    assert refused.status_code == 500
    assert refused.json()["code"] == "misconfigured"
    assert "cannot be " in refused.json()["detail"]
    assert str(tmp_path) not in refused.text


def test_status_lists_what_is_served_in_hayhooks_shape(server: Server) -> None:
    assert server.status() == {
        "status": "Up!",
        "pipelines": [],
        "durable_mode": False,
        "durable": {"healthy": True, "deployments": {}},
        "deployments": [],
        "capabilities": {"execution_enumeration": False},
        "workers": [{"node": this_node(), "pid": os.getpid(), "failed": {}}],
    }
    source = wrapper(
        '''
        def run_api(self, n: int) -> int:
            """Count."""
            return n
        def run_chat_completion(self, model, messages, body):
            return "hi"
        '''
    )
    digest = server.deploy("a", source, aliases=["b"]).json()["digest"]
    assert server.status()["deployments"] == [
        {
            "name": "a",
            "type": "unknown",
            "execution_mode": "request-bound",
            "state": "Loaded",
            "description": "Count.",
            "capabilities": ["run_api", "chat_completion", "mcp_eligible", "a2a_eligible"],
            "aliases": ["b"],
            "limits": {},
            "own_loop": False,
            "blocked": {"count": 0, "longest_seconds": 0.0},
            "revision": 1,
            "digest": digest,
            "origin": "deployed",
            "health": None,
            "error": None,
            "worker_scope": "all workers",
            "store_scope": None,
            "execution_enumeration": False,
        }
    ]


def test_the_status_of_one_deployment_can_be_asked(server: Server) -> None:
    server.deploy("a", HELLO)
    answer = server.http.get("/status/a").json()
    assert (answer["status"], answer["pipeline"]) == ("Up!", "a")
    missing = server.http.get("/status/b")
    assert missing.status_code == 404
    assert missing.json()["detail"] == "No deployment is named 'b'."


def test_what_failed_to_load_is_listed_with_the_reason(tmp_path: Path) -> None:
    put(tmp_path / "pipelines" / "broken", "import nowhere")
    with serving(tmp_path) as server:
        status = server.status()
        missing = server.run("broken")
    assert status["status"] == "Degraded"
    assert status["pipelines"] == []
    [entry] = status["deployments"]
    assert (entry["name"], entry["state"]) == ("broken", "Failed")
    assert "No module named 'nowhere'" in entry["error"]["message"]
    assert entry["error"]["code"] == "deploy_refused"
    assert missing.status_code == 404
    assert "it failed to load" in missing.json()["detail"]


def test_exactly_what_is_served_is_not_deployed_again(server: Server) -> None:
    server.deploy("hello", HELLO)
    for overwrite in (False, True):
        again = server.deploy("hello", HELLO, overwrite=overwrite)
        assert again.status_code == 200
        assert (again.json()["changed"], again.json()["revision"]) == (False, 1)
        assert again.json()["note"] == "Exactly this is served already."


def test_the_same_code_with_other_parameters_is_another_deployment(server: Server) -> None:
    source = wrapper("def run_api(self) -> str:\n    return self.word")
    source = source.replace("def setup(self) -> None:", "def setup(self, word: str = 'hi'):")
    source = source.replace("        pass", "        self.word = word")
    server.deploy("one", source, parameters={"word": "uno"})
    server.deploy("two", source)
    assert [server.run(name).json()["result"] for name in ("one", "two")] == ["uno", "hi"]
    refused = server.deploy("three", source, parameters={"wort": "drei"})
    assert refused.status_code == 422
    assert "wort" in refused.json()["detail"]


def test_limits_are_part_of_a_revision(server: Server) -> None:
    server.deploy("it", HELLO, limits={"max_runs": 4}, aliases=["gpt"])
    again = server.deploy("it", HELLO, limits={"max_runs": 8, "run_timeout": 60}, overwrite=True)
    assert (again.json()["revision"], again.json()["note"]) == (2, "")
    assert limits_of(server) == {"max_runs": 8, "run_timeout": 60}
    history = server.http.get("/deployments/it/history").json()["revisions"]
    assert [one["limits"] for one in history] == [
        {"max_runs": 8, "run_timeout": 60},
        {"max_runs": 4},
    ]
    assert "+limits {'max_runs': 8" in server.http.get("/deployments/it/diff?old=1&new=2").text
    assert server.http.post("/deployments/it/rollback").status_code == 200
    assert limits_of(server) == limits_of(server, "gpt") == {"max_runs": 4}
    without = server.deploy("it", HELLO, overwrite=True)
    assert without.json()["note"] == (
        "It is served without the limits max_runs: each deploy gives its own."
    )
    assert limits_of(server) == {}


def limits_of(server: Server, name: str = "it") -> dict[str, Any]:
    return server.http.get(f"/status/{name}").json()["deployment"]["limits"]


def test_limits_of_yaml_and_of_an_archive_are_those_of_any_deploy(server: Server) -> None:
    server.http.post(
        "/deploy-yaml",
        json={"name": "yaml", "source_code": ECHO_YAML, "limits": {"max_waiting": 0}},
    )
    assert limits_of(server, "yaml") == {"max_waiting": 0}
    content = pack({"pipeline_wrapper.py": HELLO.encode()})
    query = {"limits": '{"max_body_mb": 0.5}'}
    server.http.put("/deployments/packed", content=content, params=query)
    assert limits_of(server, "packed") == {"max_body_mb": 0.5}


def test_limits_that_cannot_be_used_are_refused(server: Server) -> None:
    refused = server.deploy("it", HELLO, limits={"max_run": 4})
    assert refused.status_code == 422
    assert detail_of(refused) == "There is no limit 'max_run'. Did you mean 'max_runs'?"


def test_an_archive_is_deployed_as_it_is(server: Server) -> None:
    source = greeting("packed") + "# \N{SNOWMAN}\n"
    data = bytes(range(256))
    content = pack({"pipeline_wrapper.py": source.encode(), "model/weights.bin": data})
    query = {"alias": ["p", "q"], "description": "Packed.", "parameters": "{}"}
    answer = server.http.put("/deployments/packed", content=content, params=query)
    assert answer.status_code == 200, answer.text
    assert answer.json()["aliases"] == ["p", "q"]
    assert server.run("q").json() == {"result": "packed"}
    digest = answer.json()["digest"][:12]
    placed = server.settings.data_dir / "bundles" / "packed" / digest / "model" / "weights.bin"
    assert placed.read_bytes() == data


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"overwrite": "yes"}, "'overwrite' is true or false, not 'yes'."),
        ({"parameters": "[]"}, "'parameters' is not a JSON object."),
        ({"limits": "4"}, "'limits' is not a JSON object."),
        ({"aliases": "a"}, "There is no query parameter 'aliases'."),
    ],
)
def test_a_query_that_cannot_be_used_is_refused(
    server: Server, query: dict[str, str], said: str
) -> None:
    content = pack({"pipeline_wrapper.py": HELLO.encode()})
    refused = server.http.put("/deployments/it", content=content, params=query)
    assert (refused.status_code, refused.json()["detail"]) == (422, said)


def test_what_is_too_large_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with serving(tmp_path, max_bundle_mb=1) as server:
        large = "#" * 4 * 1024 * 1024
        for refused in (
            server.deploy("it", large),
            server.http.put("/deployments/it", content=large.encode()),
            server.deploy("it", "#" * 1024 * 1024 + HELLO),
        ):
            assert refused.status_code == 413
            assert "HAYSERVE_MAX_BUNDLE_MB" in refused.json()["hint"]


def test_an_earlier_revision_is_served_again(server: Server) -> None:
    for word in ("one", "two", "three"):
        server.deploy("it", greeting(word), overwrite=True)
    back = server.http.post("/deployments/it/rollback")
    assert (back.json()["revision"], server.run("it").json()) == (2, {"result": "two"})
    to = server.http.post("/deployments/it/rollback", json={"to": 1})
    assert (to.json()["revision"], server.run("it").json()) == (1, {"result": "one"})
    again = server.http.post("/deployments/it/rollback", json={"to": 1})
    assert again.json()["changed"] is False
    for body, status, said in (
        ({}, 422, "'it' has no earlier revision."),
        ({"to": 9}, 404, "'it' has no revision 9."),
        ({"two": 1}, 422, None),
    ):
        refused = server.http.post("/deployments/it/rollback", json=body)
        assert refused.status_code == status
        assert said is None or refused.json()["detail"] == said
    assert server.http.post("/deployments/no/rollback").status_code == 404


def test_what_was_undeployed_can_be_brought_back_with_its_names(server: Server) -> None:
    server.deploy("it", greeting("one"), aliases=["gpt"])
    server.undeploy("it")
    assert server.run("gpt").status_code == 404
    assert server.http.post("/deployments/it/rollback").json()["revision"] == 1
    assert server.run("gpt").json() == {"result": "one"}


def test_the_past_is_listed_with_who_when_and_from_where(server: Server) -> None:
    server.http.headers["x-hayserve-from"] = "ann@laptop:/agents/it"
    server.deploy("it", greeting("one"))
    server.deploy("it", greeting("two"), overwrite=True)
    past = server.http.get("/deployments/it/history").json()
    assert past["name"] == "it"
    newest, oldest = past["revisions"]
    assert (newest["revision"], newest["active"]) == (2, True)
    assert (oldest["revision"], oldest["active"]) == (1, False)
    assert oldest["deployed_from"] == "ann@laptop:/agents/it"
    assert oldest["deployed_at"] <= oldest["served_at"] <= newest["served_at"]
    assert server.http.get("/deployments/no/history").status_code == 404


def test_two_revisions_are_compared(server: Server) -> None:
    server.deploy("it", greeting("one"))
    server.deploy("it", greeting("two"), overwrite=True)
    diff = server.http.get("/deployments/it/diff", params={"old": 1, "new": 2})
    assert diff.headers["content-type"].startswith("text/x-diff")
    assert "-        return 'one'\n+        return 'two'\n" in diff.text
    for query in ({"old": 1}, {"old": "x", "new": 1}, {"old": "9" * 5000, "new": 1}):
        assert server.http.get("/deployments/it/diff", params=query).status_code == 422


def test_names_are_added_and_taken_away_while_it_serves(server: Server) -> None:
    server.deploy("it", wrapper("def run_api(self) -> int:\n    return id(self)"))
    before = server.run("it").json()
    more = server.http.post("/deployments/it/aliases", json={"add": ["gpt", "it"]})
    assert more.json()["aliases"] == ["gpt"]
    assert server.run("gpt").json() == before
    fewer = server.http.post("/deployments/it/aliases", json={"remove": ["gpt"]})
    assert fewer.json()["aliases"] == []
    assert server.run("gpt").status_code == 404
    refused = server.http.post("/deployments/it/aliases", json={"remove": ["gpt"]})
    assert (refused.status_code, refused.json()["hint"]) == (422, "Its aliases: none.")
    assert server.http.post("/deployments/it/aliases", json={}).json()["changed"] is False
    assert server.http.post("/deployments/no/aliases", json={}).status_code == 404


def test_what_is_purged_leaves_nothing_behind(server: Server) -> None:
    server.deploy("it", HELLO)
    server.deploy("other", HELLO)
    assert server.http.post("/undeploy/it?purge=true").status_code == 200
    assert server.http.get("/deployments/it/history").status_code == 404
    assert not (server.settings.data_dir / "bundles" / "it").exists()
    assert server.run("other").status_code == 200
    server.undeploy("other")
    assert server.http.post("/undeploy/other?purge=true").status_code == 200
    assert server.http.post("/undeploy/other?purge=true").status_code == 404


def test_texts_that_no_database_takes_are_refused(server: Server) -> None:
    assert server.http.get("/deployments/a%00b/history").status_code == 404
    assert server.undeploy("a%00b").status_code == 404
    assert server.deploy("it", HELLO, description="a\0b").status_code == 422


def test_a_deploy_says_which_parameters_are_gone(server: Server) -> None:
    source = wrapper("def run_api(self) -> str:\n    return self.word")
    source = source.replace("def setup(self) -> None:", "def setup(self, word: str = 'hi'):")
    source = source.replace("        pass", "        self.word = word")
    server.deploy("it", source, parameters={"word": "uno"})
    again = server.deploy("it", source, overwrite=True)
    assert again.json()["note"] == (
        "It is set up without the parameters word: each deploy gives its own."
    )


def test_a_question_that_is_much_too_long_is_not_read(server: Server) -> None:
    body = b" " * 100_000
    for path in ("rollback", "aliases"):
        assert server.http.post(f"/deployments/it/{path}", content=body).status_code == 413
