"""What the command line sends to change what is served."""

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, TypeAdapter, ValidationError
from starlette.datastructures import QueryParams

from hayserve.deployments.bundle import Bundle
from hayserve.deployments.order import Order
from hayserve.deployments.revision import YAML_FILE
from hayserve.errors import InvalidInput, InvalidRequest, Problem
from hayserve.wrappers.run_limits import RunLimits


def _content(value: Any) -> bytes:
    """A file's content: text, or `{"base64": ...}` for what is not text."""
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, dict) and set(value) == {"base64"}:  # pyright: ignore[reportUnknownArgumentType]
        try:
            return base64.b64decode(str(value["base64"]), validate=True)  # pyright: ignore[reportUnknownArgumentType]
        except binascii.Error as error:
            raise ValueError(f"is not base64: {error}") from None
    raise ValueError('a file is its text, or {"base64": "..."}')


_OBJECT = TypeAdapter(dict[str, Any])
_ARCHIVE_QUERY = (
    "alias",
    "overwrite",
    "save_files",
    "description",
    "parameters",
    "limits",
    "check",
)

_MOST_DIGITS = 9

Content = Annotated[bytes, BeforeValidator(_content)]


class DeployFiles(BaseModel):
    """The body of `POST /deploy_files`."""

    model_config: ClassVar[ConfigDict] = ConfigDict(hide_input_in_errors=True)

    name: str
    files: dict[str, Content]
    overwrite: bool = False
    save_files: bool = True
    aliases: list[str] | None = None
    description: str | None = None
    parameters: dict[str, Any] = {}
    limits: dict[str, Any] = {}
    check: str | None = None

    def order(self) -> Order:
        return Order(
            name=self.name,
            bundle=Bundle(self.files),
            aliases=None if self.aliases is None else tuple(self.aliases),
            overwrite=self.overwrite,
            keep=self.save_files,
            description=self.description or "",
            parameters=self.parameters,
            limits=RunLimits.of(self.limits),
            check=self.check,
        )


class DeployYaml(BaseModel):
    """The body of `POST /deploy-yaml`."""

    model_config: ClassVar[ConfigDict] = ConfigDict(hide_input_in_errors=True)

    name: str
    source_code: str
    overwrite: bool = False
    description: str | None = None
    skip_mcp: bool | None = None
    save_file: bool = True
    aliases: list[str] | None = None
    parameters: dict[str, Any] = {}
    limits: dict[str, Any] = {}
    check: str | None = None

    def order(self) -> Order:
        return Order(
            name=self.name,
            bundle=Bundle({YAML_FILE: self.source_code.encode()}),
            kind="yaml",
            aliases=None if self.aliases is None else tuple(self.aliases),
            overwrite=self.overwrite,
            keep=self.save_file,
            description=self.description or "",
            skip_mcp=bool(self.skip_mcp),
            parameters=self.parameters,
            limits=RunLimits.of(self.limits),
            check=self.check,
        )


class Rollback(BaseModel):
    """The body of `POST /deployments/{name}/rollback`."""

    model_config: ClassVar[ConfigDict] = ConfigDict(hide_input_in_errors=True, extra="forbid")

    to: int | None = None


class Aliases(BaseModel):
    """The body of `POST /deployments/{name}/aliases`."""

    model_config: ClassVar[ConfigDict] = ConfigDict(hide_input_in_errors=True, extra="forbid")

    add: list[str] = []
    remove: list[str] = []


Body = TypeVar("Body", bound=BaseModel)


def read(body: bytes, model: type[Body]) -> Body:
    """What a request's body says.

    Raises:
        InvalidInput: The body is not as it should be; the message never repeats what was sent.
    """
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        problems = [
            Problem(("body", *entry["loc"]), entry["msg"], entry["type"])
            for entry in error.errors(include_input=False, include_url=False)
        ]
        first = problems[0]
        raise InvalidInput(
            f"{'.'.join(map(str, first.loc))}: {first.msg}.", problems=problems
        ) from None


def archive_order(name: str, files: Mapping[str, bytes], query: QueryParams) -> Order:
    """What `PUT /deployments/{name}` asks for.

    Raises:
        InvalidRequest: A query parameter cannot be used, or a file has a path that cannot.
    """
    _check_known(query)
    aliases = query.getlist("alias")
    return Order(
        name=name,
        bundle=Bundle(files),
        # One that is empty takes them all away; no word about them leaves them as they are.
        aliases=tuple(filter(None, aliases)) if aliases else None,
        overwrite=flag(query, "overwrite"),
        keep=flag(query, "save_files", default=True),
        description=query.get("description", ""),
        parameters=_object(query, "parameters", such_as={"model": "gpt-4o"}),
        limits=RunLimits.of(_object(query, "limits", such_as={"max_runs": 4})),
        check=query.get("check"),
    )


def flag(query: QueryParams, name: str, *, default: bool = False) -> bool:
    """A query parameter that is true or false.

    Raises:
        InvalidRequest: It is neither.
    """
    text = query.get(name, str(default)).lower()
    if text not in {"true", "false"}:
        raise InvalidRequest(f"{name!r} is true or false, not {text!r}.", param=name)
    return text == "true"


def number(query: QueryParams, name: str) -> int:
    """A query parameter that is the number of a revision.

    Raises:
        InvalidRequest: It is none, or absent.
    """
    text = query.get(name, "")
    if not (text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS):
        raise InvalidRequest(
            f"{name!r} is the number of a revision, such as 1, not {text[:20]!r}.", param=name
        )
    return int(text)


def _object(query: QueryParams, name: str, *, such_as: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return _OBJECT.validate_json(query.get(name, "{}"))
    except ValidationError:
        raise InvalidRequest(
            f"{name!r} is not a JSON object.", hint=f"Such as {json.dumps(such_as)}.", param=name
        ) from None


def _check_known(query: QueryParams) -> None:
    unknown = [name for name in query if name not in _ARCHIVE_QUERY]
    if unknown:
        raise InvalidRequest(
            f"There is no query parameter {unknown[0]!r}.",
            hint=f"Known: {', '.join(_ARCHIVE_QUERY)}.",
            param=unknown[0],
        )
