"""Commands that deploy and undeploy."""

import base64
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from cli.outcome import Outcome, Typed
from hayserve.cli.sender import sender
from hayserve.deployments.archive import pack

YAML = "components: {}\n"


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "greeter"
    (folder / "assets" / "__pycache__").mkdir(parents=True)
    (folder / ".git").mkdir()
    (folder / "pipeline_wrapper.py").write_bytes(b"x = 'caf\xc3\xa9'\r\n")
    (folder / "assets" / "logo.png").write_bytes(b"\x89PNG")
    (folder / "assets" / "__pycache__" / "a.cpython-311.pyc").write_bytes(b"")
    (folder / "assets" / "fast.so").write_bytes(b"")
    (folder / ".env").write_text("KEY=secret")
    (folder / ".git" / "config").write_text("")
    return folder


@pytest.fixture
def pipeline(tmp_path: Path) -> Path:
    file = tmp_path / "search.yml"
    file.write_text(YAML)
    return file


def received(outcome: Outcome) -> dict[str, Any]:
    assert outcome.code == 0, outcome.err
    sent: dict[str, Any] = json.loads(outcome.out)["received"]
    return sent


FILES = {
    "pipeline_wrapper.py": "x = 'café'\r\n",
    "assets/logo.png": {"base64": base64.b64encode(b"\x89PNG").decode()},
}
# What came out of the archive, each byte as a letter.
BYTES = {
    "pipeline_wrapper.py": b"x = 'caf\xc3\xa9'\r\n".decode("latin-1"),
    "assets/logo.png": "\x89PNG",
}


def test_a_folder_is_deployed_under_its_own_name(
    typed: Typed, server_url: str, bundle: Path
) -> None:
    sent = received(typed("deploy", str(bundle), "--url", server_url, "--json"))
    assert (sent["name"], sent["files"], sent["query"]) == ("greeter", BYTES, [])
    assert sent["from"] == sender(bundle)


def test_a_folder_named_by_where_it_is_has_a_name_too(
    typed: Typed, server_url: str, bundle: Path
) -> None:
    path = str(bundle / "assets" / "..")
    assert received(typed("deploy", path, "--url", server_url, "--json"))["name"] == "greeter"


def test_what_a_setting_names_stays_behind(typed: Typed, server_url: str, bundle: Path) -> None:
    (bundle.parent / ".env").write_text('HAYSERVE_FILES_TO_IGNORE_PATTERNS=["assets"]')
    sent = received(typed("deploy", str(bundle), "--url", server_url, "--json"))
    assert list(sent["files"]) == ["pipeline_wrapper.py"]


def test_a_folder_is_deployed_as_asked(typed: Typed, server_url: str, bundle: Path) -> None:
    words = ["deploy", str(bundle), "-n", "g", "-a", "x", "-a", "y", "-o", "-s"]
    words += ["--description", "Says é", "--check", "hi?", "-p", "k=3", "--param", "on=true"]
    words += ["--limit", "max_runs=4", "--limit", "run_timeout=0.5"]
    sent = received(typed(*words, "--url", server_url, "--json"))
    assert (sent["name"], sent["files"]) == ("g", BYTES)
    assert sent["query"] == [
        ["alias", "x"],
        ["alias", "y"],
        ["overwrite", "true"],
        ["save_files", "false"],
        ["parameters", '{"k": "3", "on": true}'],
        ["limits", '{"max_runs": 4, "run_timeout": 0.5}'],
        ["description", "Says é"],
        ["check", "hi?"],
    ]


@pytest.mark.parametrize("flags", [["--no-aliases"], ["--alias", ""]])
def test_all_aliases_can_be_taken_away(
    typed: Typed, server_url: str, *, bundle: Path, flags: list[str]
) -> None:
    sent = received(typed("deploy", str(bundle), *flags, "--url", server_url, "--json"))
    assert sent["query"] == [["alias", ""]]


def test_an_alias_and_none_cannot_both_be(typed: Typed, bundle: Path) -> None:
    shown = typed("deploy", str(bundle), "--alias", "x", "--no-aliases")
    assert shown.code == 2
    assert "--no-aliases" in shown.err


def test_a_parameter_without_a_name_is_a_usage_error(typed: Typed, bundle: Path) -> None:
    assert typed("deploy", str(bundle), "--param", "=3").code == 2


@pytest.mark.parametrize("name", ["w.tar.gz", "w.tgz"])
def test_an_archive_is_sent_as_it_is(
    typed: Typed, server_url: str, *, tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_bytes(pack({"w/pipeline_wrapper.py": b"x", "w/b": b"\xff"}))
    sent = received(typed("deploy", name, "--url", server_url, "--json"))
    assert sent["name"] == "w"
    assert sent["files"] == {"pipeline_wrapper.py": "x", "b": "\xff"}


def test_a_zip_is_sent_too(typed: Typed, server_url: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "my.agent.zip", "w") as file:
        file.writestr("pipeline_wrapper.py", "x")
    sent = received(typed("deploy", "my.agent.zip", "--url", server_url, "--json"))
    assert (sent["name"], sent["files"]) == ("my.agent", {"pipeline_wrapper.py": "x"})


def test_a_yaml_file_is_deployed_under_its_stem(
    typed: Typed, server_url: str, pipeline: Path
) -> None:
    words = ["deploy", str(pipeline), "--alias", "find", "--skip-saving-files"]
    assert received(typed(*words, "--url", server_url, "--json")) == {
        "name": "search",
        "source_code": YAML,
        "save_file": False,
        "overwrite": False,
        "aliases": ["find"],
    }


def test_a_deployment_is_confirmed_with_its_aliases(
    typed: Typed, server_url: str, bundle: Path
) -> None:
    shown = typed("deploy", str(bundle), "-a", "x", "-a", "y", "--url", server_url)
    assert shown.out.splitlines() == [
        "✔ Pipeline greeter successfully deployed, also as x, y! Revision 3, on 4 workers.",
        "  Worker 5 follows.",
    ]


@pytest.mark.parametrize(
    ("question", "told"),
    [("hello", ["  It answered: Hi!", "  How are you?"]), ("mute", ["  It answered: "])],
)
def test_what_it_answered_to_the_check_is_told(
    typed: Typed, server_url: str, *, bundle: Path, question: str, told: list[str]
) -> None:
    shown = typed("deploy", str(bundle), "--check", question, "--url", server_url)
    assert shown.out.splitlines()[2:] == told


def test_what_has_not_changed_is_called_that_with_the_aliases_it_kept(
    typed: Typed, server_url: str, bundle: Path
) -> None:
    shown = typed("deploy", str(bundle), "-o", "--url", f"{server_url}/redeployed")
    assert shown.out.splitlines() == [
        "✔ Pipeline greeter has not changed, also as x, y. Revision 3.",
        "  Exactly this is served already.",
    ]


def test_a_description_can_be_given(typed: Typed, server_url: str, pipeline: Path) -> None:
    words = ["deploy", str(pipeline), "--description", "Finds", "--skip-mcp"]
    sent = received(typed(*words, "--url", server_url, "--json"))
    assert (sent["description"], sent["skip_mcp"]) == ("Finds", True)


def test_a_yaml_file_can_be_checked_too(typed: Typed, server_url: str, pipeline: Path) -> None:
    words = ["deploy", str(pipeline), "--check", "hi?", "--param", 'a={"b": 1}']
    words += ["--limit", "max_waiting=0"]
    sent = received(typed(*words, "--url", server_url, "--json"))
    assert (sent["check"], sent["parameters"]) == ("hi?", {"a": {"b": 1}})
    assert sent["limits"] == {"max_waiting": 0}


def test_a_wrapper_says_itself_that_it_is_no_mcp_tool(typed: Typed, bundle: Path) -> None:
    shown = typed("deploy", str(bundle), "--skip-mcp")
    assert shown.code == 2
    assert "skip_mcp = True" in shown.err


def test_what_stays_behind_is_told(typed: Typed, server_url: str, bundle: Path) -> None:
    shown = typed("deploy", str(bundle), "--url", server_url)
    assert shown.err.splitlines() == [
        "! Left out: .env, .git/ (files that begin with a dot are not sent)",
        "! Left out: assets/fast.so (the setting files_to_ignore_patterns names them)",
    ]


@pytest.mark.parametrize("command", [["deploy"], ["pipeline", "deploy-files"]])
def test_an_empty_name_is_a_usage_error(typed: Typed, bundle: Path, command: list[str]) -> None:
    shown = typed(*command, str(bundle), "--name", "")
    assert shown.code == 2
    assert "needs a name" in shown.err


def test_a_name_that_no_server_takes_is_a_usage_error(typed: Typed, pipeline: Path) -> None:
    assert typed("deploy", str(pipeline), "--name", "a b").code == 2


def test_deploy_files_sends_what_hayhooks_sends(
    typed: Typed, server_url: str, bundle: Path
) -> None:
    words = ["pipeline", "deploy-files", str(bundle), "-n", "g", "--url", server_url]
    assert typed(*words).out == "✔ Pipeline g successfully deployed!\n"
    assert received(typed(*words, "-o", "-s", "--json")) == {
        "name": "g",
        "files": FILES,
        "save_files": False,
        "overwrite": True,
    }


def test_deploy_files_wants_a_name(typed: Typed, bundle: Path) -> None:
    assert typed("pipeline", "deploy-files", str(bundle)).code == 2


def test_deploy_yaml_sends_what_hayhooks_sends(
    typed: Typed, server_url: str, pipeline: Path
) -> None:
    words = ["pipeline", "deploy-yaml", str(pipeline), "--url", server_url]
    assert typed(*words).out == "✔ Pipeline search successfully deployed!\n"
    flags = ["-n", "s", "-o", "--description", "Finds", "--skip-mcp", "--no-save-file"]
    assert received(typed(*words, *flags, "--json")) == {
        "name": "s",
        "source_code": YAML,
        "overwrite": True,
        "description": "Finds",
        "skip_mcp": True,
        "save_file": False,
    }


def test_a_name_that_is_taken_is_refused_with_a_way_out(
    typed: Typed, server_url: str, pipeline: Path
) -> None:
    words = ["deploy", pipeline.name, "-n", "taken", "--param", "a=b c", "--url", server_url]
    shown = typed(*words, "--key", "secret", "--key=secret")
    assert shown.code == 1
    again = f"deploy search.yml -n taken --param 'a=b c' --url {server_url} --overwrite"
    assert shown.err.splitlines() == [
        "✘ Error: Pipeline 'taken' already exists",
        f"  To replace it: hayserve {again}",
    ]


def test_what_is_too_large_is_refused_with_what_can_be_done(
    typed: Typed, server_url: str, pipeline: Path
) -> None:
    shown = typed("deploy", str(pipeline), "-n", "large", "--url", server_url)
    assert shown.code == 1
    assert "Leave files out" in shown.err


def test_a_folder_without_files_is_a_usage_error(typed: Typed, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    shown = typed("deploy", str(tmp_path / "empty"))
    assert shown.code == 2
    assert "has no files to serve" in shown.err


def test_a_file_of_another_kind_is_a_usage_error(typed: Typed, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("")
    shown = typed("deploy", str(tmp_path / "notes.txt"))
    assert shown.code == 2
    assert "neither a folder nor an archive" in shown.err


@pytest.mark.usefixtures("bundle")
@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("nowhere", "'nowhere' does not exist"),
        ("nowhere.yml", "'nowhere.yml' does not exist"),
        ("greeter/pipeline_wrapper.py", "hayserve deploy greeter"),
        ("agents.py:parrot", "hayserve run file.py:object"),
        ("agents.py", "hayserve run file.py:object"),
    ],
)
def test_a_path_that_cannot_be_deployed_is_a_usage_error(
    typed: Typed, path: str, said: str
) -> None:
    shown = typed("deploy", path)
    assert shown.code == 2
    assert said in shown.err


@pytest.mark.parametrize("command", [["undeploy"], ["pipeline", "undeploy"]])
def test_a_deployment_is_taken_off(typed: Typed, server_url: str, command: list[str]) -> None:
    shown = typed(*command, "greeter", "--url", server_url)
    assert shown.out == "✔ Pipeline greeter successfully undeployed!\n"


def test_what_the_server_notes_is_told(typed: Typed, server_url: str) -> None:
    shown = typed("undeploy", "configured", "--url", server_url)
    assert shown.out.splitlines() == [
        "✔ Pipeline configured successfully undeployed!",
        "  It comes back at a start.",
    ]


def test_undeploying_answers_as_json(typed: Typed, server_url: str) -> None:
    shown = typed("undeploy", "greeter", "--url", server_url, "--json")
    assert json.loads(shown.out) == {"success": True, "name": "greeter"}


def test_what_is_not_deployed_cannot_be_taken_off(typed: Typed, server_url: str) -> None:
    shown = typed("undeploy", "absent", "--url", server_url)
    assert shown.code == 1
    assert "Pipeline 'absent' not found" in shown.err
