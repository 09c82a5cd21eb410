"""The command itself: its help, its version, its exit codes and what it loads."""

import subprocess
import sys
from importlib import import_module
from importlib.metadata import version

from cli.outcome import Typed
from hayserve.cli.main import main

COMMANDS = (
    "run init status deploy undeploy rollback history diff alias call runs cancel doctor keys "
    "pipeline"
)
HEAVY = ("haystack", "pydantic", "pydantic_settings", "httpx2", "starlette", "uvicorn")


def test_the_version_is_printed(typed: Typed) -> None:
    assert typed("--version").out == f"{version('hayserve')}\n"


def test_help_names_every_command(typed: Typed) -> None:
    shown = typed("--help")
    assert shown.code == 0
    for name in COMMANDS.split():
        assert f" {name} " in shown.out


def test_help_loads_no_server_and_no_framework() -> None:
    code = (
        "import sys; from hayserve.cli.main import main; sys.argv = ['hayserve', '--help']\n"
        "try: main()\n"
        f"finally: print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == "[]"


def test_it_is_a_module_too() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "hayserve", "--version"], capture_output=True, text=True, check=True
    )
    assert ran.stdout == f"{version('hayserve')}\n"


def test_a_child_process_that_imports_the_module_types_nothing() -> None:
    assert import_module("hayserve.__main__").main is main


def test_a_terminal_without_the_signs_still_shows_the_text(closed_url: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "hayserve", "status", "--url", closed_url],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONIOENCODING": "ascii"},
    )
    assert ran.returncode == 1
    assert ran.stderr.startswith(f"? Error: No server answers at '{closed_url}'.\n")


def test_an_unknown_command_is_a_usage_error(typed: Typed) -> None:
    assert typed("fly").code == 2


def test_the_command_that_hayhooks_removed_says_what_to_type(typed: Typed) -> None:
    told = typed("pipeline", "deploy", "--name", "x", "some.yml")
    assert told.code == 1
    assert "There is no command `pipeline deploy`." in told.err
    assert "hayserve deploy PATH" in told.err
    assert "some.yml" not in typed("pipeline", "--help").out
