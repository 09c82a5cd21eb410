"""`hayserve run` hands its flags to the server."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from cli.outcome import Typed
from hayserve.cli.flags import Run
from hayserve.cli.serve import run
from hayserve.settings import Settings


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
    assert started.rest == {"paths": ["a", "b.yml"], "name": "n", "aliases": ["x"], "reload": True}


def test_flags_that_are_not_given_leave_the_environment_its_say(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HAYSERVE_PORT", "9000")
    monkeypatch.setenv("HAYSERVE_INSECURE", "true")
    started = Started()
    run(Run(), start=started)
    assert started.settings is not None
    assert (started.settings.port, started.settings.insecure) == (9000, True)
    assert started.rest == {"paths": [], "name": None, "aliases": [], "reload": False}


def test_more_than_one_worker_is_refused_for_now(typed: Typed) -> None:
    shown = typed("run", "--workers", "2")
    assert shown.code == 1
    assert "--workers 2 asks for more" in shown.err


def test_no_worker_at_all_is_a_usage_error(typed: Typed) -> None:
    assert typed("run", "--workers", "0").code == 2
