"""Starts whole servers for tests: in this process, with everything in one folder."""

import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent
from typing import Any

from httpx2 import Response
from starlette.testclient import TestClient

from hayserve.access.keys import Keys
from hayserve.deployments.target import Target, targets_at
from hayserve.server.app import create_app
from hayserve.server.database_url import database_url
from hayserve.settings import Settings, load
from hayserve.storage.database import Database

HELLO = """
from hayserve import BasePipelineWrapper


class PipelineWrapper(BasePipelineWrapper):
    def setup(self) -> None:
        pass

    def run_api(self, name: str = "you") -> str:
        return f"Hello, {name}!"
"""


def wrapper(body: str = "", *, top: str = "", setup: str = "pass") -> str:
    """The text of a wrapper with these methods."""
    lines = [
        "from typing import Any",
        "from hayserve import BasePipelineWrapper, SSEStream",
        *dedent(top).splitlines(),
        "class PipelineWrapper(BasePipelineWrapper):",
        "    def setup(self) -> None:",
        *(f"        {line}" for line in dedent(setup).strip().splitlines()),
        *(f"    {line}" for line in dedent(body).splitlines()),
    ]
    return "\n".join(lines) + "\n"


# Anything may be sent to it, and is not looked at but for its type.
WORD_OR_CHAT = wrapper(
    """
    def run_api(self, word: str = "none", number: float = 0, deep: Any = None) -> str:
        return word

    def run_chat_completion(self, model: str, messages: list, body: dict) -> str:
        return "hello"
    """
)


def greeting(word: str) -> str:
    """The text of a wrapper that answers with `word`."""
    return wrapper(f"def run_api(self) -> str:\n    return {word!r}")


def put(folder: Path, source: str = HELLO, **files: str) -> Path:
    """Write a wrapper's folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pipeline_wrapper.py").write_text(source)
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


def make_key(settings: Settings, name: str = "web", *scopes: str) -> str:
    """A key in the database of a server that need not run."""
    database = Database(database_url(settings))
    database.open()
    try:
        return Keys(database).create(name, scopes=scopes or ["run"])[1]
    finally:
        database.close()


class Server:
    """A server in this process and what is known of it."""

    def __init__(self, http: TestClient, settings: Settings) -> None:
        self.http = http
        self.settings = settings

    def run(self, deployment: str, /, **parameters: Any) -> Response:
        return self.http.post(f"/{deployment}/run", json=parameters)

    def deploy(self, name: str, source: str | None = None, **fields: Any) -> Response:
        files = {} if source is None else {"pipeline_wrapper.py": source}
        body = {"name": name, "files": files, **fields}
        return self.http.post("/deploy_files", json=body)

    def undeploy(self, name: str) -> Response:
        return self.http.post(f"/undeploy/{name}")

    def status(self) -> Any:
        return self.http.get("/status").json()


def settings_in(folder: Path, **settings: Any) -> Settings:
    given: Mapping[str, Any] = {
        "data_dir": folder / "data",
        "pipelines_dir": folder / "pipelines",
        "key_file": folder / "key",
        "insecure": True,
    }
    return load(**{**given, **settings})


@contextmanager
def serving(
    folder: Path,
    *paths: str | Path,
    targets: list[Target] | None = None,
    **settings: Any,
) -> Generator[Server]:
    """Serve `paths`, or without any what is in `folder / "pipelines"`, once all is loaded."""
    loaded = threading.Event()
    named = [target for path in paths for target in targets_at(str(path))]
    known = settings_in(folder, **settings)
    app = create_app(
        known,
        targets=targets or named or None,
        when_loaded=lambda _: loaded.set(),
        prove=False,
    )
    with TestClient(app, "http://localhost", raise_server_exceptions=False) as http:
        assert loaded.wait(timeout=20)
        yield Server(http, known)
