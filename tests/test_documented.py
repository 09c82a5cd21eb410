"""Everything that a user can call or see is on a page; settings are told in test_settings."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.routing import Route
from typer.main import get_command

import hayserve
from hayserve import errors
from hayserve.cli.main import app
from hayserve.deployments.reserved import RESERVED
from hayserve.server.app import create_app
from hayserve.settings import load
from hayserve.wrappers import chainlit_events, client_events, open_webui

DOCS = Path(__file__).parent.parent / "docs"


def page(name: str) -> str:
    return (DOCS / f"{name}.md").read_text()


@pytest.mark.parametrize("name", hayserve.__all__)
def test_every_public_name_is_in_the_reference(name: str) -> None:
    assert f"`{name}`" in page("reference")


@pytest.mark.parametrize("module", [client_events, open_webui, chainlit_events])
def test_every_event_is_in_the_reference(module: object) -> None:
    for name in vars(module):
        if name.startswith("create_"):
            assert f"`{name}`" in page("reference")


def test_every_error_code_is_with_the_http_interface() -> None:
    known = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    codes = {kind.code for kind in known if issubclass(kind, errors.HayserveError)}
    assert {code for code in codes if f"`{code}`" not in page("http")} == set()


def test_every_route_is_with_the_http_interface(tmp_path: Path) -> None:
    text = page("http")
    served = create_app(load(data_dir=tmp_path)).routes
    paths = {route.path.replace(":path}", "}") for route in served if isinstance(route, Route)}
    with_prefix = {path for path in paths if f"/v1{path}" not in paths}
    assert {path for path in with_prefix if path not in text} == set()


def test_every_reserved_name_is_told() -> None:
    assert {name for name in RESERVED if f"`{name}`" not in page("http")} == set()


def commands(group: Any, path: str = "hayserve") -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if command.hidden:
            continue
        if hasattr(command, "commands"):
            yield from commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


def test_every_command_and_option_is_with_the_command_line() -> None:
    text = page("command-line")
    missing: set[str] = set()
    for path, command in commands(get_command(app)):
        assert path.split()[-1] in text, path
        options = [max(parameter.opts, key=len) for parameter in command.params]
        missing |= {
            option
            for option in options
            if option.startswith("--") and not re.search(rf"`{option}\b", text)
        }
    assert missing == set()
