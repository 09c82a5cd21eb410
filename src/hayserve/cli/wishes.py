"""How something is to be deployed, as the server is told: as JSON or in a URL."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import typer

from hayserve.cli.client import Query
from hayserve.cli.flags import Deploy
from hayserve.cli.inputs import pair_of
from hayserve.errors import InvalidRequest
from hayserve.wrappers.run_limits import RunLimits


@dataclass(frozen=True, slots=True)
class Wishes:
    """How something is to be deployed.

    Args:
        aliases: Other names; None for those that what it replaces has.
        parameters: What the wrapper's `setup()` is called with.
        limits: The limits of its runs.
        check: A question that it is asked before it is served.
        overwrite: Whether it may replace a deployment.
        keep: Whether it is there again after a restart.
        description: What it does; None for what the wrapper says.
    """

    aliases: Sequence[str] | None
    parameters: Mapping[str, Any]
    limits: RunLimits
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
        return said | self._objects() | self._texts()

    def as_query(self) -> Query:
        """The query of `PUT /deployments/{name}`; one alias that is empty stands for none."""
        said = [("alias", alias) for alias in self._aliases()]
        if self.overwrite:
            said.append(("overwrite", "true"))
        if not self.keep:
            said.append(("save_files", "false"))
        for name, value in self._objects().items():
            said.append((name, json.dumps(value, ensure_ascii=False)))
        return [*said, *self._texts().items()]

    def _aliases(self) -> Sequence[str]:
        return () if self.aliases is None else self.aliases or [""]

    def _objects(self) -> dict[str, Mapping[str, Any]]:
        objects = {"parameters": self.parameters, "limits": self.limits.as_fields()}
        return {name: value for name, value in objects.items() if value}

    def _texts(self) -> dict[str, str]:
        texts = {"description": self.description, "check": self.check}
        return {name: text for name, text in texts.items() if text is not None}


def wishes_in(given: Deploy) -> Wishes:
    """What a command line asks for.

    Raises:
        typer.BadParameter: A parameter or limit is not key=value, a limit cannot be used, or there
            are to be aliases and none.
    """
    return Wishes(
        aliases=_aliases(given),
        parameters=parameters_in(given.params),
        limits=limits_in(given.limits),
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


def limits_in(typed: Iterable[str]) -> RunLimits:
    """Limits by name.

    Raises:
        typer.BadParameter: One is not key=value, is not known, or cannot have that value.
    """
    try:
        return RunLimits.of({name: _number(text) for name, text in map(pair_of, typed)})
    except InvalidRequest as error:
        raise typer.BadParameter(str(error), param_hint="--limit") from None


def _number(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


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
