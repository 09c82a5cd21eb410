"""The commands that look back and go back, against a server as it is."""

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn

from cli.outcome import Typed
from hayserve.cli import show
from hayserve.server.app import create_app
from hayserve.settings import load

WRAPPER = """
from hayserve import BasePipelineWrapper


class PipelineWrapper(BasePipelineWrapper):
    def setup(self, word: str = "Hello", count: int = 1) -> None:
        self.words = [word] * count

    def run_api(self) -> str:
        return " ".join(self.words)
"""


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A whole server, in this process and on a real port."""
    folder = tmp_path_factory.mktemp("server")
    settings = load(data_dir=folder, pipelines_dir=folder / "pipelines", insecure=True)
    app = create_app(settings, targets=[], prove=False)
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, ws="none", log_config=None)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    server.should_exit = True
    thread.join()
    listening.close()


@pytest.fixture
def name(typed: Typed, url: str, *, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """A deployment with two revisions, named as the test is."""
    name = request.node.name.partition("[")[0]
    folder = tmp_path / name
    folder.mkdir()
    (folder / "pipeline_wrapper.py").write_text(WRAPPER)
    (folder / "logo.png").write_bytes(b"\x89PNG\0")
    first = typed("deploy", name, "--alias", f"{name}-1", "--param", "count=2", "--url", url)
    assert first.out == (
        f"✔ Pipeline {name} successfully deployed, also as {name}-1! Revision 1, on 1 worker.\n"
    )
    (folder / "pipeline_wrapper.py").write_text(WRAPPER.replace("Hello", "Bye"))
    second = typed("deploy", name, "--overwrite", "--url", url)
    assert "Revision 2, on 1 worker." in second.out
    return name


def test_the_history_names_each_revision(typed: Typed, url: str, name: str) -> None:
    shown = typed("history", name, "--url", url)
    rows = [
        [cell.strip() for cell in line.strip("│").split("│")]
        for line in shown.out.splitlines()
        if line.startswith("│")
    ]
    assert [row[:2] for row in rows if row[0]] == [["2", "✔"], ["1", ""]]
    assert "count=2" in {row[6] for row in rows}


def test_the_history_can_be_had_as_json(typed: Typed, url: str, name: str) -> None:
    answer = json.loads(typed("history", name, "--json", "--url", url).out)
    assert [one["revision"] for one in answer["revisions"]] == [2, 1]
    assert answer["revisions"][0]["deployed_from"].endswith(f"/{name}")


def test_a_diff_is_printed_as_it_is(typed: Typed, url: str, name: str) -> None:
    shown = typed("diff", name, "1", "2", "--url", url)
    assert shown.code == 0
    assert '+    def setup(self, word: str = "Bye", count: int = 1) -> None:\n' in shown.out
    assert "\x1b" not in shown.out


def test_what_does_not_differ_is_said_beside_the_answer(typed: Typed, url: str, name: str) -> None:
    shown = typed("diff", name, "2", "2", "--url", url)
    assert (shown.code, shown.out) == (0, "")
    assert shown.err == f"✔ Revisions 2 and 2 of {name} do not differ.\n"


def test_a_person_sees_a_diff_in_colours(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    show.diff("--- a\n+++ b\n@@ -1 +1 @@\n same\n-old\n+[bold]new\n")
    lines = capsys.readouterr().out.splitlines()
    assert lines[2:] == [
        "\x1b[36m@@ -1 +1 @@\x1b[0m",
        " same",
        "\x1b[31m-old\x1b[0m",
        "\x1b[32m+[bold]new\x1b[0m",
    ]


def test_the_revision_before_is_served_again(typed: Typed, url: str, name: str) -> None:
    shown = typed("rollback", name, "--url", url)
    assert shown.out == (
        f"✔ Pipeline {name} successfully rolled back, also as {name}-1! Revision 1, on 1 worker.\n"
    )
    assert json.loads(typed("call", name, "--json", "--url", url).out) == {"result": "Hello Hello"}


def test_one_revision_can_be_named(typed: Typed, url: str, name: str) -> None:
    shown = typed("rollback", name, "--to", "2", "--url", url)
    assert shown.out.splitlines() == [
        f"✔ Pipeline {name} has not changed, also as {name}-1. Revision 2.",
        "  Exactly this is served already.",
    ]


def test_a_revision_that_there_is_not_is_refused(typed: Typed, url: str, name: str) -> None:
    shown = typed("rollback", name, "--to", "7", "--json", "--url", url)
    assert shown.code == 1
    assert "has no revision 7" in shown.err


def test_aliases_are_listed_one_a_line(typed: Typed, url: str, name: str) -> None:
    assert typed("alias", name, "--url", url).out == f"{name}-1\n"


def test_aliases_can_be_had_as_json(typed: Typed, url: str, name: str) -> None:
    shown = typed("alias", f"{name}-1", "--json", "--url", url)
    assert json.loads(shown.out) == {"name": name, "aliases": [f"{name}-1"]}


def test_aliases_are_given_and_taken_away(typed: Typed, url: str, name: str) -> None:
    words = ["alias", name, "--add", f"{name}-2", "--remove", f"{name}-1", "--url", url]
    assert typed(*words).out == (
        f"✔ Pipeline {name} is also served as {name}-2! Revision 2, on 1 worker.\n"
    )
    assert typed("alias", name, "--remove", f"{name}-2", "--url", url).out == (
        f"✔ Pipeline {name} has no aliases any more! Revision 2, on 1 worker.\n"
    )
    shown = typed("alias", name, "--url", url)
    assert (shown.out, shown.err) == ("", f"✔ Pipeline {name} has no aliases.\n")


def test_a_redeploy_can_take_all_aliases_away(typed: Typed, url: str, name: str) -> None:
    shown = typed("deploy", name, "--overwrite", "--no-aliases", "--url", url)
    assert shown.out == f"✔ Pipeline {name} successfully deployed! Revision 2, on 1 worker.\n"


def test_what_is_taken_off_keeps_its_history(typed: Typed, url: str, name: str) -> None:
    assert typed("undeploy", name, "--url", url).out == (
        f"✔ Pipeline {name} successfully undeployed!\n"
    )
    assert typed("history", name, "--url", url).code == 0
    assert typed("undeploy", name, "--purge", "--url", url).out == (
        f"✔ Pipeline {name} successfully undeployed, and its history deleted!\n"
    )
    assert typed("history", name, "--url", url).code == 1


def test_a_name_that_is_taken_says_what_to_type(typed: Typed, url: str, name: str) -> None:
    shown = typed("deploy", name, "-p", "count=3", "--url", url)
    assert shown.code == 1
    assert shown.err.splitlines()[1:] == [
        f"  To replace it: hayserve deploy {name} -p count=3 --url {url} --overwrite"
    ]


def test_an_archive_that_is_too_large_is_refused_with_the_setting(
    typed: Typed, url: str, tmp_path: Path
) -> None:
    most = load().max_bundle_mb * 1_100_000
    with (tmp_path / "large.tar").open("wb") as file:
        file.truncate(most)
    shown = typed("deploy", "large.tar", "--url", url)
    assert shown.code == 1
    assert "HAYSERVE_MAX_BUNDLE_MB" in shown.err
