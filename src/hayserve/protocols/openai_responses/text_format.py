"""Holds an answer to the form that its client asked for.

Source: https://platform.openai.com/docs/guides/structured-outputs
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, cast

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError
from jsonschema.protocols import Validator
from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

from hayserve.errors import HayserveError, InvalidRequest, RunFailed

_KINDS = ("text", "json_object", "json_schema")
_REFERENCES = ("$ref", "$dynamicRef")
_SCHEMA = "format.schema"
# Pointers may go through what is no object, and to what is none.
_NO_SCHEMA = (Unresolvable, SchemaError, AttributeError, TypeError, ValueError)


class TextFormat:
    """What the text of an answer has to be.

    Args:
        asked: The `text` of a request for a response.

    Raises:
        InvalidRequest: It asks for something that cannot be.
    """

    def __init__(self, asked: Mapping[str, Any] | None) -> None:
        form: object = (asked or {}).get("format") or {"type": "text"}
        named = cast(Mapping[str, Any], form if isinstance(form, dict) else {})
        if named.get("type") not in _KINDS:
            raise _unfit("format.type", f"has to be one of {', '.join(_KINDS)}")
        self._kind = named["type"]
        self._name = named.get("name")
        self._validator: Validator | None = None
        if self._kind == "json_schema":
            self._validator = _validator(named)

    def fault(self, text: str) -> HayserveError | None:
        """What is wrong with an answer; None if it is as it should be."""
        if self._kind == "text":
            return None
        try:
            value: object = json.loads(text)
            if self._kind == "json_object" and not isinstance(value, dict):
                return _misfit("it is no JSON object")
            if self._validator is not None:
                self._validator.validate(cast(Any, value))
        except ValueError as error:
            return _misfit(f"it is not JSON: {error}")
        except ValidationError as error:
            return _misfit(f"it does not match the schema {self._name!r}: {error.message}")
        except (RecursionError, Unresolvable):
            return _misfit(f"it cannot be held to the schema {self._name!r}: that leads nowhere")
        return None


def _validator(form: Mapping[str, Any]) -> Validator:
    schema: object = form.get("schema")
    if not isinstance(form.get("name"), str) or not isinstance(schema, dict):
        raise _unfit("format", "has to have a `name` and a `schema`")
    given = cast(dict[str, Any], schema)
    try:
        Draft202012Validator.check_schema(given)
    except SchemaError as error:
        raise _unfit(_SCHEMA, f"is no JSON Schema: {error.message}") from error
    _check_references(given)
    # A registry of its own: nothing that a schema names is fetched from anywhere.
    return Draft202012Validator(given, registry=Registry())


def _check_references(schema: dict[str, Any]) -> None:
    resolver = Registry[Any]().resolver_with_root(DRAFT202012.create_resource(schema))
    for reference in _references(schema):
        try:
            Draft202012Validator.check_schema(resolver.lookup(reference).contents)
        except _NO_SCHEMA as error:
            raise _unfit(_SCHEMA, f"refers to {reference!r}, which is no schema in it") from error


def _references(schema: dict[str, Any]) -> Iterator[str]:
    waiting: list[object] = [schema]
    while waiting:
        one = waiting.pop()
        if isinstance(one, list):
            waiting += cast(list[object], one)
        elif isinstance(one, dict):
            named = cast(dict[str, object], one)
            waiting += named.values()
            yield from (to for name in _REFERENCES if isinstance(to := named.get(name), str))


def _unfit(where: str, why: str) -> InvalidRequest:
    return InvalidRequest(f"'text.{where}' {why}.", param=f"text.{where}")


def _misfit(why: str) -> RunFailed:
    return RunFailed(
        f"The answer is not in the form that was asked for: {why}.",
        hint="The deployment gets the form as `text.format`; it has to hand it to its model.",
    )
