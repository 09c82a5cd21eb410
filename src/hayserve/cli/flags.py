"""What each command takes on its command line, as one object per command.

`command` turns such a class into the parameters that typer reads, so that a command is a function
of one argument and its flags are written down, named and typed in one place.
"""

from collections.abc import Callable, Iterator
from dataclasses import MISSING, Field, dataclass, field, fields
from inspect import Parameter, Signature
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

Flags = TypeVar("Flags")

SERVER = "Server"  # the heading in `--help` under which its address and key are explained

Name = Annotated[str, typer.Argument(help="The name of the deployment.")]
NewName = Annotated[
    str | None,
    typer.Option(
        "--name", "-n", help="The name to deploy under; the file's or folder's if absent."
    ),
]
Aliases = Annotated[
    list[str], typer.Option("--alias", "-a", help="Another name for it; may be repeated.")
]
Limits = Annotated[
    list[str],
    typer.Option(
        "--limit",
        help="A limit of its runs, name=number, such as max_runs=4; may be repeated.",
    ),
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", "-o", help="Replace a deployment of that name.")
]
SkipSaving = Annotated[
    bool,
    typer.Option(
        "--skip-saving-files", "-s", help="Serve the files without keeping them for a restart."
    ),
]
Description = Annotated[
    str | None, typer.Option("--description", help="What it does, for those who call it.")
]
SkipMCP = Annotated[bool, typer.Option("--skip-mcp", help="Do not offer it as an MCP tool.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Flags of `hayserve run`."""

    paths: Annotated[
        list[str],
        typer.Argument(metavar="PATH", help="What to serve: folders, YAML files, file.py:object."),
    ] = field(default_factory=list[str])
    name: Annotated[
        str | None, typer.Option("--name", "-n", help="The name of what is served.")
    ] = None
    aliases: Aliases = field(default_factory=list[str])
    limits: Limits = field(default_factory=list[str])
    host: Annotated[str | None, typer.Option("--host", "-h", help="The address to listen on.")] = (
        None
    )
    port: Annotated[int | None, typer.Option("--port", "-p", help="The port to listen on.")] = None
    pipelines_dir: Annotated[
        Path | None,
        typer.Option(
            "--pipelines-dir", "-d", help="The folder that is served if no path is named."
        ),
    ] = None
    root_path: Annotated[
        str | None, typer.Option(help="The path under which a proxy serves this server.")
    ] = None
    additional_python_path: Annotated[
        str | None, typer.Option(help="A folder with modules that wrappers import.")
    ] = None
    reload: Annotated[
        bool,
        typer.Option(
            "--reload",
            "--watch",
            "-r",
            help="Load a deployment again when its code or YAML changes.",
        ),
    ] = False
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Ask nobody for a key, wherever it listens.")
    ] = False
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers",
            "-w",
            min=1,
            help="How many processes serve, watched by a parent; one without it if absent.",
        ),
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """Flags of every command that talks to a server."""

    url: Annotated[
        str | None,
        typer.Option(
            "--url", help="Where the server is; also HAYSERVE_URL.", rich_help_panel=SERVER
        ),
    ] = None
    key: Annotated[
        str | None,
        typer.Option("--key", help="The server's key; also HAYSERVE_KEY.", rich_help_panel=SERVER),
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach(Where):
    """Flags of every command whose answer can be had as JSON."""

    as_json: Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Status(Reach):
    """Flags of `hayserve status`."""

    name: Annotated[
        str | None, typer.Argument(help="The one deployment to show; all if absent.")
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Deploy(Reach):
    """Flags of `hayserve deploy`."""

    path: Annotated[
        Path,
        typer.Argument(
            help="A folder with a pipeline_wrapper.py, a .tar.gz or .zip of one, or a YAML file."
        ),
    ]
    name: NewName = None
    aliases: Aliases = field(default_factory=list[str])
    no_aliases: Annotated[
        bool,
        typer.Option("--no-aliases", help="Take its aliases away; they stay if nothing is said."),
    ] = False
    params: Annotated[
        list[str],
        typer.Option("--param", "-p", help="key=value for the wrapper's setup(); may be repeated."),
    ] = field(default_factory=list[str])
    limits: Limits = field(default_factory=list[str])
    check: Annotated[
        str | None,
        typer.Option(
            "--check", help="A question to ask before it is served; it is not if that fails."
        ),
    ] = None
    overwrite: Overwrite = False
    description: Description = None
    skip_mcp: Annotated[
        bool, typer.Option("--skip-mcp", help="Do not offer a YAML pipeline as an MCP tool.")
    ] = False
    skip_saving_files: SkipSaving = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployFiles(Reach):
    """Flags of `hayserve pipeline deploy-files`."""

    pipeline_dir: Annotated[
        Path,
        typer.Argument(exists=True, file_okay=False, help="A folder with a pipeline_wrapper.py."),
    ]
    name: Annotated[str, typer.Option("--name", "-n", help="The name to deploy under.")]
    overwrite: Overwrite = False
    skip_saving_files: SkipSaving = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployYaml(Reach):
    """Flags of `hayserve pipeline deploy-yaml`."""

    pipeline_file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="A pipeline as YAML.")
    ]
    name: NewName = None
    overwrite: Overwrite = False
    description: Description = None
    skip_mcp: SkipMCP = False
    save_file: Annotated[
        bool,
        typer.Option("--save-file/--no-save-file", help="Whether it is kept for a restart."),
    ] = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Undeploy(Reach):
    """Flags of `hayserve pipeline undeploy`."""

    name: Name


@dataclass(frozen=True, slots=True, kw_only=True)
class UndeployOrPurge(Undeploy):
    """Flags of `hayserve undeploy`."""

    purge: Annotated[
        bool,
        typer.Option(
            "--purge",
            help="Delete its history and the copies of its files that the server stored; "
            "files that the server did not write stay.",
        ),
    ] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollback(Reach):
    """Flags of `hayserve rollback`."""

    name: Name
    to: Annotated[
        int | None,
        typer.Option("--to", min=1, help="The revision to serve; the last one before if absent."),
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class History(Reach):
    """Flags of `hayserve history`."""

    name: Name


@dataclass(frozen=True, slots=True, kw_only=True)
class Diff(Where):
    """Flags of `hayserve diff`."""

    name: Name
    old: Annotated[int, typer.Argument(min=1, help="The number of a revision.")]
    new: Annotated[int, typer.Argument(min=1, help="The number of the one to compare it with.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Alias(Reach):
    """Flags of `hayserve alias`."""

    name: Name
    add: Annotated[list[str], typer.Option("--add", help="A name to give it; may be repeated.")] = (
        field(default_factory=list[str])
    )
    remove: Annotated[
        list[str], typer.Option("--remove", help="An alias to take away; may be repeated.")
    ] = field(default_factory=list[str])


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Reach):
    """Flags of `hayserve pipeline run`."""

    name: Name
    params: Annotated[
        list[str],
        typer.Option("--param", "-p", help="key=value; JSON, except where it takes text."),
    ] = field(default_factory=list[str])
    files: Annotated[
        list[str],
        typer.Option("--file", "-f", help="A file to send, or field=file; may be repeated."),
    ] = field(default_factory=list[str])
    dirs: Annotated[
        list[Path],
        typer.Option(
            "--dir",
            "-d",
            exists=True,
            file_okay=False,
            help="A folder whose files are sent; may be repeated.",
        ),
    ] = field(default_factory=list[Path])
    stream: Annotated[
        bool, typer.Option("--stream", "-s", help="Print the answer as it comes.")
    ] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CallOrChat(Call):
    """Flags of `hayserve call`."""

    chat: Annotated[
        str | None,
        typer.Option("--chat", help="Say this to it; the answer is printed as it comes."),
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Runs(Reach):
    """Flags of `hayserve runs`."""

    deployment: Annotated[
        str | None,
        typer.Option("--deployment", help="Show only the runs of this deployment."),
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancel(Reach):
    """Flags of `hayserve cancel`."""

    ids: Annotated[
        list[str],
        typer.Argument(metavar="ID", help="What `hayserve runs` shows, or the whole id."),
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Doctor(Reach):
    """Flags of `hayserve doctor`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Init:
    """Flags of `hayserve init`."""

    name: Annotated[str, typer.Argument(help="The name of the new folder.")]
    dir: Annotated[Path, typer.Option("--dir", help="Where the folder is made.")] = Path()


def command(
    app: typer.Typer, takes: type[Flags], *, name: str | None = None
) -> Callable[[Callable[[Flags], None]], Callable[[Flags], None]]:
    """Register a function as a command of `app` whose flags are the fields of `takes`."""

    def register(do: Callable[[Flags], None]) -> Callable[[Flags], None]:
        def from_command_line(**given: Any) -> None:
            do(takes(**given))

        # typer learns a command's flags from its signature, and `inspect` asks here for it first
        vars(from_command_line).update(__signature__=Signature(list(_parameters(takes))))
        app.command(name or do.__name__, help=do.__doc__)(from_command_line)
        return do

    return register


def _parameters(takes: type[Any]) -> Iterator[Parameter]:
    for one in fields(takes):
        yield Parameter(
            one.name, Parameter.KEYWORD_ONLY, default=_default(one), annotation=one.type
        )


def _default(one: Field[Any]) -> object:
    if one.default_factory is not MISSING:
        return one.default_factory()
    return Parameter.empty if one.default is MISSING else one.default
