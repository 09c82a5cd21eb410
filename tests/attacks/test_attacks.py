"""What strangers try, and what people with a key try who mean no good, at a real server.

These are the attacks that other servers of this kind are open to. Where one of them is played
elsewhere as well, with more cases of it:

- Who may deploy: tests/access/test_rules.py has every route with every kind of key,
  tests/server/test_gate.py has hosts and origins, test_browser.py has pages in a browser,
  tests/e2e/test_websocket.py has handshakes of pages.
- Names and paths: tests/deployments/test_bundle.py, test_archive.py, test_untar.py and
  test_unzip.py, and tests/protocols/admin/test_routes.py.
- Modules: tests/deployments/test_imports.py and test_loader.py.
- Bodies: test_bad_input.py, tests/e2e/test_bodies.py (sizes with the memory they cost, stalls,
  headers, nesting) and tests/server/test_http_protocol.py.
- What is logged and told: test_secrets.py.
- What belongs to others: test_tenants.py.
"""

import io
import json
import tarfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx2
import pytest

from e2e.started import Process, running
from hayserve.deployments.reserved import RESERVED
from server.raw_http import Client
from server.serving import HELLO, WORD_OR_CHAT, greeting, put, wrapper

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

MARKER = "was-here"
# What it says when it is loaded, and what it leaves behind.
SHELL = f"from pathlib import Path\nPath({MARKER!r}).touch()\n" + HELLO
EVIL = "https://evil.example"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    folder = tmp_path_factory.mktemp("attacked")
    put(folder / "pipelines" / "it", WORD_OR_CHAT)
    with running(folder, "--port", "0") as server:
        yield server


@pytest.fixture
def owner(server: Process) -> Iterator[httpx2.Client]:
    """Somebody with the local key, who may do everything."""
    headers = {"authorization": f"Bearer {server.key_file.read_text()}"}
    client = httpx2.Client(base_url=server.url, headers=headers, timeout=30, trust_env=False)
    with client:
        yield client


def deploy(owner: httpx2.Client, name: str, **files: str) -> httpx2.Response:
    files_ = {f"{stem}.py": text for stem, text in files.items()}
    body = {"name": name, "files": files_, "overwrite": True}
    return owner.post("/deploy_files", json=body)


# Whoever reaches the port


ORDER = {"name": "shell", "files": {"pipeline_wrapper.py": SHELL}, "overwrite": True}
DOORS: Mapping[tuple[str, str], Any] = {
    ("POST", "/deploy_files"): ORDER,
    ("POST", "/deploy%5Ffiles"): ORDER,
    ("POST", "/deploy-yaml"): {"name": "shell", "source_code": "components: {}"},
    ("PUT", "/deployments/shell"): None,
    ("POST", "/undeploy/it"): None,
    ("POST", "/deployments/it/rollback"): {"to": 1},
    ("POST", "/deployments/it/aliases"): {"add": ["x"]},
    ("POST", "/keys"): {"name": "mine", "scopes": ["admin"]},
    ("POST", "/keys/mine/rotate"): None,
    ("DELETE", "/keys/mine"): None,
    ("GET", "/keys"): None,
    ("GET", "/runs"): None,
    ("DELETE", "/runs/x"): None,
}


def strangers(server: Process) -> dict[str, dict[str, Any]]:
    """How they ask: what goes with each of their requests."""
    key = server.key_file.read_text()
    wrong = f"hs_{'0' * 12}_{'a' * 43}"
    return {
        "nothing": {},
        "a wrong key": {"headers": {"authorization": f"Bearer {wrong}"}},
        "a wrong local key": {"headers": {"x-api-key": key[:-1]}},
        "a longer key": {"headers": {"x-api-key": key + "a"}},
        "the key in the query": {
            "params": {"key": key, "api_key": key, "token": key, "authorization": f"Bearer {key}"}
        },
        "the key in a cookie": {"headers": {"cookie": f"key={key}; authorization=Bearer {key}"}},
        "the key as a password": {"headers": {"authorization": f"Basic {key}"}},
        "two keys": {"headers": [("x-api-key", key), ("x-api-key", wrong)]},
        "another method": {
            "headers": {"x-http-method-override": "GET"},
            "params": {"_method": "GET"},
        },
        "as if from here": {
            "headers": {
                "x-forwarded-for": "127.0.0.1",
                "x-forwarded-host": "localhost",
                "x-forwarded-user": "admin",
                "forwarded": "for=127.0.0.1;host=localhost",
                "x-real-ip": "127.0.0.1",
            }
        },
        "another host": {"headers": {"host": "evil.example"}},
        "another host and the key": {"headers": {"host": "evil.example", "x-api-key": key}},
        "another origin and the key": {"headers": {"origin": EVIL, "x-api-key": key}},
        "no origin and the key": {"headers": {"origin": "null", "x-api-key": key}},
        "from afar and the key": {"headers": {"x-forwarded-for": "203.0.113.7", "x-api-key": key}},
    }


def test_nobody_deploys_without_the_key(server: Process, owner: httpx2.Client) -> None:
    before = owner.get("/status").json()["pipelines"]
    for how, what in strangers(server).items():
        for (method, path), body in DOORS.items():
            answer = server.http.request(method, path, json=body, **what)
            expected = {422} if how == "two keys" else {401, 403}
            assert answer.status_code in expected, (how, method, path, answer.text)
    assert owner.get("/status").json()["pipelines"] == before
    assert owner.get("/keys").json() == {"keys": []}
    assert not (server.folder / MARKER).exists()


@pytest.mark.parametrize(
    "what",
    [
        {"content": json.dumps(ORDER), "headers": {"content-type": "text/plain"}},
        {"content": json.dumps(ORDER), "headers": {"content-type": ""}},
        {"data": {"name": "shell", "files": json.dumps(ORDER["files"])}},
        {"data": {json.dumps(ORDER): ""}},
        {"files": {"pipeline_wrapper.py": SHELL.encode()}, "data": {"name": "shell"}},
    ],
    ids=["text", "nothing", "form", "form that looks like JSON", "multipart"],
)
@pytest.mark.parametrize("origin", [EVIL, "null"])
def test_a_page_deploys_by_no_kind_of_body(
    server: Process, *, what: dict[str, Any], origin: str
) -> None:
    sent: dict[str, Any] = {**what, "headers": {**what.get("headers", {}), "origin": origin}}
    answer = server.http.post("/deploy_files", **sent)
    assert answer.status_code == 403
    assert not [name for name in answer.headers if name.startswith("access-control-")]
    assert not (server.folder / MARKER).exists()


@pytest.mark.parametrize("path", ["/deploy_files", "/it/run", "/v1/chat/completions", "/keys"])
def test_no_page_is_told_that_it_may_call(server: Process, path: str) -> None:
    headers = {
        "origin": EVIL,
        "access-control-request-method": "POST",
        "access-control-request-headers": "content-type",
        "access-control-request-private-network": "true",
    }
    answer = server.http.options(path, headers=headers)
    assert answer.status_code == 403
    assert not [name for name in answer.headers if name.startswith("access-control-")]


HOSTS = [
    "evil.example",
    "localhost.evil.example",
    "evil.example:1416",
    "127.0.0.1.nip.io",
    "0.0.0.0",  # which browsers take for this machine
    "0",
    "127.1",
    "2130706433",
    "localhost.",
    "a.localhost",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::1%25lo]",
    "localhost@evil.example",
    "evil.example#localhost",
]


@pytest.mark.parametrize("host", HOSTS)
def test_a_name_that_leads_here_gets_nothing(server: Process, host: str) -> None:
    paths = ["/status", "/docs", "/openapi.json", "/v1/models", "/v1/files", "/runs"]
    for path in paths:
        answer = server.http.get(path, headers={"host": host})
        assert (answer.status_code, "it" in answer.json()) == (403, False), path
    for path in ("/it/run", "/v1/files", "/v1/responses", "/deploy_files"):
        assert server.http.post(path, json={}, headers={"host": host}).status_code == 403


def lines(*headers: str, target: str = "/it/run", version: str = "1.1") -> bytes:
    given = "".join(f"{header}\r\n" for header in (*headers, "content-length: 2"))
    return f"POST {target} HTTP/{version}\r\n{given}\r\n{{}}".encode()


HERE, THERE = "host: localhost", "host: evil.example"


@pytest.mark.parametrize(
    "request_",
    [
        lines(version="1.0"),
        lines(),
        lines(HERE, THERE),
        lines(THERE, HERE),
        lines(THERE, target="http://localhost/it/run"),
        lines(HERE, "x-forwarded-for: 203.0.113.7"),
    ],
)
def test_a_request_without_one_host_of_this_machine_runs_nothing(
    server: Process, request_: bytes
) -> None:
    client = Client(server.port)
    assert client.ask(request_).status in {403, 422}
    client.socket.close()


# Names and paths


PATHS = [
    "../../escaped.py",
    "../escaped.py",
    "/tmp/hayserve-escaped.py",
    "a/../../escaped.py",
    "..\\escaped.py",
    "a\\..\\..\\escaped.py",
    "C:\\escaped.py",
    "C:escaped.py",
    "\\\\host\\share\\escaped.py",
    "./escaped.py",
    "a//escaped.py",
    "escaped.py\0.txt",
    "x" * 300 + ".py",
    "a/" * 600 + "escaped.py",
    "",
    "..",
    "/",
]


def zipped(path: str, *, mode: int = 0o100644, content: bytes = b"") -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("pipeline_wrapper.py", SHELL)
        member = zipfile.ZipInfo()
        member.filename, member.external_attr = path, mode << 16
        archive.writestr(member, content)
    return data.getvalue()


def tarred(path: str, *, kind: bytes = tarfile.REGTYPE, target: str = "") -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as archive:
        for name, type_ in (("pipeline_wrapper.py", tarfile.REGTYPE), (path, kind)):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = type_, target
            member.size = len(SHELL) if type_ == tarfile.REGTYPE else 0
            archive.addfile(member, io.BytesIO(SHELL.encode()))
    return data.getvalue()


@pytest.mark.parametrize("path", PATHS, ids=lambda path: repr(path)[:20])
def test_no_file_is_put_outside_of_its_deployment(
    server: Process, owner: httpx2.Client, path: str
) -> None:
    files = {"pipeline_wrapper.py": SHELL, path: "x = 1"}
    answer = owner.post("/deploy_files", json={"name": "escape", "files": files})
    assert answer.status_code == 422, answer.text
    for archive in (zipped(path), tarred(path)):
        # An archive's format ends a name at a NUL, and has folders without a content.
        answer = owner.put("/deployments/escape", content=archive)
        is_harmless = path in {"", "/", "./escaped.py"} or "\0" in path
        assert answer.status_code == 422 or is_harmless, answer.text
        owner.post("/undeploy/escape", params={"purge": "true"})
    assert not list(server.folder.parent.glob("**/escaped.py*"))
    assert not Path("/tmp/hayserve-escaped.py").exists()
    (server.folder / MARKER).unlink(missing_ok=True)


@pytest.mark.parametrize(
    "archive",
    [
        tarred("link", kind=tarfile.SYMTYPE, target="/etc/passwd"),
        tarred("link", kind=tarfile.LNKTYPE, target="../../../state"),
        tarred("device", kind=tarfile.CHRTYPE),
        tarred("pipe", kind=tarfile.FIFOTYPE),
        zipped("link", mode=0o120777, content=b"/etc/passwd"),
    ],
)
def test_an_archive_brings_nothing_but_files(
    server: Process, owner: httpx2.Client, archive: bytes
) -> None:
    answer = owner.put("/deployments/linked", content=archive)
    assert answer.status_code == 422, answer.text
    assert "passwd" not in answer.text
    assert not (server.folder / MARKER).exists()


@pytest.mark.parametrize(
    "name",
    [
        "../it",
        "..",
        "/etc",
        "a/b",
        "a\\b",
        "C:a",
        "{x}",
        "{name}",
        "{x:path}",
        "a b",
        "a?b",
        "a#b",
        "a%2fb",
        ".dot",
        "a\0b",
        "a\nb",
        "x" * 300,
        "\u202eti",
        "it\u200b",
        "",
        *sorted(RESERVED),
    ],
    ids=lambda name: repr(name)[:20],
)
def test_no_name_takes_what_is_not_its_own(owner: httpx2.Client, name: str) -> None:
    before = owner.get("/status").json()["pipelines"]
    files = {"pipeline_wrapper.py": greeting("mine")}
    body = {"name": name, "files": files, "overwrite": True}
    answer = owner.post("/deploy_files", json=body)
    assert answer.status_code == 422, answer.text
    answer = owner.post("/deployments/it/aliases", json={"add": [name]})
    assert answer.status_code in {200, 422}, answer.text  # an alias may have `/` and `:` in it
    owner.post("/deployments/it/aliases", json={"remove": [name]})
    assert owner.get("/status").json()["pipelines"] == before
    assert owner.post("/anything/run", json={}).status_code == 404
    assert owner.post("/it/run", json={"word": "w"}).json() == {"result": "w"}


@pytest.mark.parametrize("name", ["run", "chat", "responses", "files", "embeddings", "traces"])
def test_what_only_looks_taken_is_served_and_stands_in_nobodys_way(
    owner: httpx2.Client, name: str
) -> None:
    assert deploy(owner, name, pipeline_wrapper=greeting(name)).status_code == 200
    assert owner.post(f"/{name}/run", json={}).json() == {"result": name}
    chat = {"model": "it", "messages": [{"role": "user", "content": "hi"}]}
    for path in ("/chat/completions", "/v1/chat/completions"):
        assert owner.post(path, json=chat).status_code == 200
    assert owner.get("/v1/files").status_code == 200
    assert owner.post(f"/undeploy/{name}", params={"purge": "true"}).status_code == 200
    assert owner.post("/it/run", json={"word": "w"}).json() == {"result": "w"}


# Modules


def works(owner: httpx2.Client) -> None:
    """Everything that was served before still is, sync and async, and so is what comes."""
    assert owner.post("/it/run", json={"word": "w"}).json() == {"result": "w"}
    later = wrapper(
        "async def run_api_async(self) -> str:\n    await asyncio.sleep(0)\n"
        "    return json.dumps(haystack.__name__) + hayserve.__name__ + helper",
        top="import asyncio, json, haystack, hayserve, hayhooks\nhelper = 'ok'",
    )
    assert deploy(owner, "later", pipeline_wrapper=later).status_code == 200
    assert owner.post("/later/run", json={}).json() == {"result": '"haystack"hayserveok'}
    assert owner.post("/undeploy/later", params={"purge": "true"}).status_code == 200


@pytest.mark.parametrize(
    "name", ["json", "asyncio", "haystack", "hayhooks", "hayserve", "sys", "os", "starlette"]
)
def test_a_name_takes_over_no_module(owner: httpx2.Client, name: str) -> None:
    assert deploy(owner, name, pipeline_wrapper=greeting(name)).status_code == 200
    assert owner.post(f"/{name}/run", json={}).json() == {"result": name}
    works(owner)
    assert owner.post(f"/undeploy/{name}", params={"purge": "true"}).status_code == 200
    works(owner)


BESIDE = wrapper(
    "def run_api(self) -> str:\n    import lazy\n    return helper.WORD + lazy.WORD",
    top="""
    import sys
    from pathlib import Path
    sys.path.insert(0, str(Path(__file__).parent))
    import helper
    """,
)


def test_helpers_of_one_name_are_not_mixed_up(tmp_path: Path) -> None:
    words = {"first": "1", "second": "2"}

    def said(server: Process) -> dict[str, str]:
        return {name: server.run(name).json()["result"] for name in words}

    for restarts in range(2):
        with running(tmp_path, "--port", "0") as server:
            headers = {"authorization": f"Bearer {server.key_file.read_text()}"}
            with httpx2.Client(base_url=server.url, headers=headers, timeout=30) as owner:
                if not restarts:
                    for name, word in words.items():
                        text = f"WORD = {word!r}"
                        deploy(owner, name, pipeline_wrapper=BESIDE, helper=text, lazy=text)
                    assert said(server) == {"first": "11", "second": "22"}
                    deploy(
                        owner, "first", pipeline_wrapper=BESIDE, helper="WORD='3'", lazy="WORD='4'"
                    )
                assert said(server) == {"first": "34", "second": "22"}
