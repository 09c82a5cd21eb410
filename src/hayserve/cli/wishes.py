"""How something is to be deployed, as the server is told: as JSON or in a URL."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import typer

from hayserve.cli.client import Query
from hayserve.cli.flags import Deploy
from hayserve.cli.inputs import pair_of


@dataclass(frozen=True, slots=True)
class Wishes:
    """How something is to be deployed.

    Args:
        aliases: Other names; None for those that what it replaces has.
        parameters: What the wrapper's `setup()` is called with.
        check: A question that it is asked before it is served.
        overwrite: Whether it may replace a deployment.
        keep: Whether it is there again after a restart.
        description: What it does; None for what the wrapper says.
    """

    aliases: Sequence[str] | None
    parameters: Mapping[str, Any]
    check: str | None
    overwrite: bool
    keep: bool
    description: str | None

    def as_json(self) -> dict[str, Any]:
        """Fields of the body of `POST /deploy-yaml`."""
        said: dict[str, Any] = {
            "overwrite": self.overwrite,
            "aliases": self.aliases,
            "save_file": self.keep,
        }
        if self.parameters:
            said["parameters"] = self.parameters
        return said | self._texts()

    def as_query(self) -> Query:
        """The query of `PUT /deployments/{name}`; one alias that is empty stands for none."""
        said = [("alias", alias) for alias in self._aliases()]
        if self.overwrite:
            said.append(("overwrite", "true"))
        if not self.keep:
            said.append(("save_files", "false"))
        if self.parameters:
            said.append(("parameters", json.dumps(self.parameters, ensure_ascii=False)))
        return [*said, *self._texts().items()]

    def _aliases(self) -> Sequence[str]:
        return () if self.aliases is None else self.aliases or [""]

    def _texts(self) -> dict[str, str]:
        texts = {"description": self.description, "check": self.check}
        return {name: text for name, text in texts.items() if text is not None}


def wishes_in(given: Deploy) -> Wishes:
    """What a command line asks for.

    Raises:
        typer.BadParameter: A parameter is not key=value, or there are to be aliases and none.
    """
    return Wishes(
        aliases=_aliases(given),
        parameters=parameters_in(given.params),
        check=given.check,
        overwrite=given.overwrite,
        keep=not given.skip_saving_files,
        description=given.description,
    )


def parameters_in(typed: Iterable[str]) -> dict[str, Any]:
    """Parameters by name; what they are for is known where they are used.

    So a number stays the text that was typed, which the wrapper's annotation turns into a number
    or leaves as it is; an object, a list, true, false and null are JSON.

    Raises:
        typer.BadParameter: One is not key=value.
    """
    return {name: _value(text) for name, text in map(pair_of, typed)}


def _value(text: str) -> Any:
    enclosed = text[:1] + text[-1:] in {"{}", "[]"}
    if not (enclosed or text in {"true", "false", "null"}):
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


def _aliases(given: Deploy) -> list[str] | None:
    # Without a word about aliases, a deployment that is replaced keeps those that it has.
    named = [alias for alias in given.aliases if alias]
    if named and given.no_aliases:
        raise typer.BadParameter("It gives none, and --alias gives one.", param_hint="--no-aliases")
    return named if given.aliases or given.no_aliases else None
