"""`hayserve run` hands its flags to the server."""

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from cli.outcome import Typed
from hayserve.cli.flags import Run, command
from hayserve.cli.serve import run, starter
from hayserve.deployments.terms import NO_TERMS, Terms
from hayserve.errors import Misconfigured
from hayserve.server.serve import serve
from hayserve.settings import Settings, load
from hayserve.wrappers.run_limits import RunLimits


@dataclass
class Started:
    """Stands where the server starts; remembers what it was told."""

    settings: Settings | None = None
    rest: dict[str, object] = field(default_factory=dict[str, object])

    def __call__(self, settings: Settings, paths: Sequence[str], **rest: object) -> None:
        self.settings = settings
        self.rest = {"paths": list(paths), **rest}


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_flags_become_settings(tmp_path: Path) -> None:
    started = Started()
    run(
        Run(
            paths=["a", "b.yml"],
            name="n",
            aliases=["x"],
            limits=["max_runs=4"],
            host="127.0.0.1",
            port=8000,
            pipelines_dir=tmp_path / "p",
            root_path="/api",
            insecure=True,
            reload=True,
        ),
        start=started,
    )
    settings = started.settings
    assert settings is not None
    assert (settings.host, settings.port, settings.root_path) == ("127.0.0.1", 8000, "/api")
    assert (settings.pipelines_dir, settings.insecure) == (tmp_path / "p", True)
    terms = Terms(name="n", aliases=("x",), limits=RunLimits(max_runs=4))
    assert started.rest == {"paths": ["a", "b.yml"], "terms": terms, "reload": True}


def test_flags_that_are_not_given_leave_the_environment_its_say(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HAYSERVE_PORT", "9000")
    monkeypatch.setenv("HAYSERVE_INSECURE", "true")
    started = Started()
    run(Run(), start=started)
    assert started.settings is not None
    assert (started.settings.port, started.settings.insecure) == (9000, True)
    assert started.rest == {"paths": [], "terms": NO_TERMS, "reload": False}


def test_without_workers_one_process_serves() -> None:
    assert starter(None) is serve


def test_workers_have_a_parent_however_many_they_are(tmp_path: Path) -> None:
    start = starter(1)
    with pytest.raises(Misconfigured, match="nobody has a key yet"):
        start(load(host="0.0.0.0", data_dir=tmp_path), [], terms=NO_TERMS, reload=False)


@pytest.mark.parametrize("option", ["--reload", "--watch", "-r"])
def test_files_are_watched_by_either_name(option: str) -> None:
    given = CliRunner().invoke(app_that_tells(), [option])
    assert given.output == "True\n", given.output


def app_that_tells() -> typer.Typer:
    app = typer.Typer()
    command(app, Run, name="run")(lambda given: typer.echo(given.reload))
    return app


def test_a_parent_loads_neither_haystack_nor_a_web_server() -> None:
    heavy = ["haystack", "sqlalchemy", "starlette", "uvicorn"]
    program = (
        "import sys, hayserve.cli.main, hayserve.cli.serve as serve\n"
        "serve.starter(2)\n"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout == "[]\n"


def test_no_worker_at_all_is_a_usage_error(typed: Typed) -> None:
    assert typed("run", "--workers", "0").code == 2
