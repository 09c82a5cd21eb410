"""A class of flags becomes the parameters of a command."""

from dataclasses import dataclass, field
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from cli.outcome import Typed
from hayserve.cli.flags import command


@dataclass(frozen=True, kw_only=True)
class Greet:
    name: Annotated[str, typer.Argument()]
    loud: Annotated[bool, typer.Option("--loud", "-l")] = False
    also: Annotated[list[str], typer.Option("--also")] = field(default_factory=list[str])


@pytest.mark.parametrize(
    ("words", "heard"),
    [
        (["Ann"], Greet(name="Ann")),
        (
            ["Ann", "-l", "--also", "Bob", "--also", "Cy"],
            Greet(name="Ann", loud=True, also=["Bob", "Cy"]),
        ),
    ],
)
def test_a_command_is_called_with_its_flags_as_one_object(words: list[str], heard: Greet) -> None:
    app, calls = typer.Typer(), list[Greet]()

    @command(app, Greet, name="greet")
    def say(given: Greet) -> None:
        """Say hello."""
        calls.append(given)

    assert CliRunner().invoke(app, words).exit_code == 0
    assert calls == [heard]
    assert "Say hello." in CliRunner().invoke(app, ["--help"]).output
    say(heard)  # the function itself stays as it was written
    assert calls == [heard, heard]


@pytest.mark.parametrize(
    ("command", "flags"),
    [
        ("run", "--name -n --alias -a --host -h --port -p --pipelines-dir -d --root-path"),
        ("run", "--additional-python-path --reload -r --insecure --workers -w"),
        ("status", "--url --key --json"),
        (
            "deploy",
            "--name -n --alias -a --overwrite -o --skip-saving-files -s --description --skip-mcp",
        ),
        ("deploy", "--no-aliases --param -p --check --url --key --json"),
        ("undeploy", "--purge --url --key --json"),
        ("rollback", "--to --url --key --json"),
        ("history", "--url --key --json"),
        ("diff", "--url --key"),
        ("alias", "--add --remove --url --key --json"),
        ("call", "--param -p --file -f --dir -d --stream -s --chat --url --key --json"),
        ("init", "--dir"),
        ("keys create", "--scope --expires --budget --url --key"),
        ("keys list", "--url --key --json"),
        ("keys rotate", "--keep-old --url --key"),
        ("keys revoke", "--url --key"),
        (
            "pipeline deploy-files",
            "--name -n --overwrite -o --skip-saving-files -s --url --key --json",
        ),
        (
            "pipeline deploy-yaml",
            "--name -n --overwrite -o --description --skip-mcp --save-file --no-save-file --url",
        ),
        ("pipeline undeploy", "--url --key --json"),
        ("pipeline run", "--param -p --file -f --dir -d --stream -s --url --key --json"),
    ],
)
def test_a_command_takes_these_flags(typed: Typed, command: str, flags: str) -> None:
    shown = typed(*command.split(), "--help")
    assert shown.code == 0
    assert set(flags.split()) <= set(shown.out.replace(",", " ").split())
