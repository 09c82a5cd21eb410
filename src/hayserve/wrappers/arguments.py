"""What a request brings, as the arguments of the method that answers it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from inspect import Parameter
from typing import Any, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic_core import ErrorDetails, from_json

from hayserve.errors import (
    DeployRefused,
    InvalidInput,
    InvalidRequest,
    Problem,
    WrapperFailed,
    sentence,
)
from hayserve.wrappers.failure import explain
from hayserve.wrappers.forms import FormField, Sent, values_of
from hayserve.wrappers.json_schema import describe
from hayserve.wrappers.objects import with_objects

_MOST_NAMES = 12


@dataclass(frozen=True, slots=True)
class Accepted:
    """A parameter that a request fills; `default` is `Parameter.empty` if it has to."""

    name: str
    annotation: Any
    default: Any
    description: str

    def definition(self) -> Any:
        default = ... if self.default is Parameter.empty else self.default
        field = Field(default=default, alias=self.name, description=self.description)
        return (with_objects(self.annotation), field)


class Arguments:
    """The parameters of one method, read from JSON, a form or a dict.

    A parameter with a default may have a type that JSON cannot fill: then the default is what it
    gets, and any other value from a request is refused.

    Args:
        parameters: What a request fills.
        method: The method's name, for messages.
        title: The title of the JSON Schema.

    Raises:
        DeployRefused: A parameter has no default and a type that JSON cannot fill.
    """

    def __init__(self, parameters: Sequence[Accepted], *, method: str, title: str) -> None:
        for parameter in parameters:
            _refuse_if_unreadable(parameter, method=method)
        # Pydantic cannot take every name for a field; as an alias it can.
        definitions = {f"field_{n}": accepted.definition() for n, accepted in enumerate(parameters)}
        self._model: type[BaseModel] = create_model(
            title, __config__=ConfigDict(arbitrary_types_allowed=True), **definitions
        )
        self._method = method
        self._names = [
            (field, accepted.name) for field, accepted in zip(definitions, parameters, strict=True)
        ]
        self._hint = _what_it_takes(parameters)
        self._form = {accepted.name: FormField.of(accepted.annotation) for accepted in parameters}
        self._validate_json: Callable[[bytes], Any] = (
            self._model.__pydantic_validator__.validate_json
        )
        self._validate: Callable[[Any], Any] = self._model.__pydantic_validator__.validate_python

    def from_json(self, body: bytes) -> dict[str, Any]:
        return self._read(self._validate_json, body.strip() or b"{}")

    def from_values(self, values: Mapping[str, Any]) -> dict[str, Any]:
        return self._read(self._validate, dict(values))

    def from_form(self, items: Sequence[tuple[str, Sent]]) -> dict[str, Any]:
        return self._read(self._validate, values_of(items, self._form))

    def schema(self) -> dict[str, Any]:
        return describe(self._model, mode="validation")

    def uploads(self) -> dict[str, bool]:
        """Name the parameters that take files; True for those that take a list."""
        return {
            name: field.takes_list
            for name, field in self._form.items()
            if field.takes_upload or name == "files"
        }

    def _read(self, validate: Callable[[Any], Any], values: Any) -> dict[str, Any]:
        try:
            read = validate(values).__dict__
        except ValidationError as error:
            raise self._refusal(error, values) from error
        except Exception as error:  # validators of the wrapper's own classes may run
            raise WrapperFailed(
                sentence(f"The input of {self._method!r} could not be checked: {explain(error)}")
            ) from error
        return {name: read[field] for field, name in self._names}

    def _refusal(self, error: ValidationError, values: Any) -> InvalidRequest:
        details = error.errors(include_url=False, include_input=False, include_context=False)
        if not details[0]["loc"]:
            return InvalidRequest(
                f"The body is not a JSON object: {details[0]['msg']}.",
                hint="Send an object with the parameters as its fields.",
            )
        given = from_json(values) if isinstance(values, bytes) else values
        problems = _problems(details, given)
        said = "; ".join(f"{_path(problem)}: {problem.msg}" for problem in problems)
        return InvalidInput(
            sentence(f"The input cannot be used. {said}"), problems=problems, hint=self._hint
        )


def _problems(details: Sequence[ErrorDetails], given: Any) -> list[Problem]:
    """What is wrong, once for each place and text: members of a union may agree."""
    problems: dict[tuple[Any, str], Problem] = {}
    for detail in details:
        message = detail["msg"]
        if detail["type"] == "needs_python_object":
            message = "Input cannot be given in a request; leave it out"
        loc = ("body", *_place(detail, given))
        problems.setdefault((loc, message), Problem(loc, message, detail["type"]))
    return list(problems.values())


def _place(detail: ErrorDetails, given: Any) -> list[str | int]:
    """Where in what was given it is. Pydantic says the tried members of unions too."""
    place: list[str | int] = []
    for number, part in enumerate(detail["loc"], start=1):
        fields: Any = cast(object, given) if isinstance(given, Mapping) else ()
        is_missing = number == len(detail["loc"]) and detail["type"] == "missing"
        if isinstance(part, int) or part in fields or is_missing:
            place.append(part)
            given = _item(given, part)
    return place


def _item(given: Any, part: str | int) -> Any:
    try:
        return given[part]
    except (LookupError, TypeError):
        return None


def _what_it_takes(parameters: Sequence[Accepted]) -> str:
    names = [
        f"{parameter.name} (required)" if parameter.default is Parameter.empty else parameter.name
        for parameter in parameters
    ]
    more = ["…"] if len(names) > _MOST_NAMES else []
    return f"It takes: {', '.join([*names[:_MOST_NAMES], *more])}."


def _path(problem: Problem) -> str:
    return ".".join(str(part) for part in problem.loc[1:])


def _refuse_if_unreadable(parameter: Accepted, *, method: str) -> None:
    config = ConfigDict(arbitrary_types_allowed=parameter.default is not Parameter.empty)
    try:
        probe = create_model("Probe", __config__=config, field=parameter.definition())
        probe.model_rebuild()  # raises where a model in it names a class that does not exist
    except Exception as error:  # a type may bring its own code for its schema
        raise DeployRefused(
            f"The parameter {parameter.name!r} of {method!r} has the type "
            f"{parameter.annotation!r}, which a request cannot fill: {_said(error)}.",
            hint="Annotate what JSON can say (text, numbers, lists, dicts, dataclasses, pydantic "
            "models, Haystack's dataclasses), or give it a default, which is then always used.",
            param=parameter.name,
        ) from error


def _said(error: Exception) -> str:
    # Pydantic goes on with advice for the author of a model.
    return str(error).partition("\n")[0].partition(". Set ")[0].rstrip(".")
