"""Holds values to a JSON Schema that a client sent, in a time that it cannot make long.

Schemas can ask for more work than there is time, and regular expressions, too. So a schema may be
only so large, and every keyword that is looked at for an answer is a step, of which there are so
many and no more. Patterns are matched in a time that grows with the text alone, which look-arounds
and back-references do not allow.

Spec: https://json-schema.org/draft/2020-12
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from functools import lru_cache
from itertools import islice
from typing import Any, cast

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError
from jsonschema.validators import extend  # pyright: ignore[reportUnknownVariableType]
from pydantic_core import SchemaError as PatternError
from pydantic_core import SchemaValidator, core_schema
from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

MOST_CHARACTERS = 256_000
MOST_SCHEMAS = 1000
MOST_STEPS = 50_000
MOST_PATTERN_SECONDS = 0.2
_REFERENCES = ("$ref", "$dynamicRef")
_STEPS_OF_A_REFERENCE, _NAMES_OF_A_STEP = 4, 8
# Their values are no schemas, or have names of their own over schemas.
_VALUES = ("const", "default", "enum", "examples")
_NAMED = ("$defs", "definitions", "dependentSchemas", "properties")
# Pointers may go through what is no object, and to what is none.
_NO_SCHEMA = (Unresolvable, SchemaError, AttributeError, TypeError, ValueError)

_left: ContextVar[Iterator[int]] = ContextVar("left")

Keyword = Callable[..., Iterator[ValidationError] | None]
Schema = dict[str, Any]


class Unfit(ValueError):
    """A schema cannot be used; its text says why, after "the schema"."""


class _TooMuch(Exception):
    """There are no steps left."""


class ClientSchema:
    """What `client_schema` gives.

    Args:
        schema: A schema that was looked at.
    """

    def __init__(self, schema: Schema) -> None:
        # A registry of its own: nothing that a schema names is fetched from anywhere.
        self._validator = _Counting(schema, registry=Registry[Any]())

    def fault(self, value: object) -> str | None:
        """What is wrong with a value, after "it"; None if it is as it should be."""
        try:
            _bounded(lambda: self._validator.validate(cast(Any, value)))
        except ValidationError as error:
            return f"does not match the schema: {error.message}"
        except (RecursionError, Unresolvable):
            return "cannot be held to the schema: that leads nowhere"
        except ArithmeticError as error:
            return f"cannot be held to the schema: {error}"
        except _TooMuch:
            return f"cannot be held to the schema in {MOST_STEPS} steps"
        return None


def client_schema(schema: Mapping[str, Any]) -> ClientSchema:
    """A schema to hold values to; clients send the same ones again and again.

    Raises:
        Unfit: It is none, refers to something outside of it, or would take too long.
    """
    try:
        text = json.dumps(schema)
        if len(text) > MOST_CHARACTERS:
            raise Unfit(f"is longer than {MOST_CHARACTERS} characters")
        return _known(text)
    except RecursionError as error:
        raise Unfit("goes too deep") from error


@lru_cache(maxsize=64)
def _known(text: str) -> ClientSchema:
    schema = _without_dialect(json.loads(text))
    parts = [*islice(_schemas_in(schema), MOST_SCHEMAS + 1)]
    if len(parts) > MOST_SCHEMAS:
        raise Unfit(f"is made of more than {MOST_SCHEMAS} schemas")
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        raise Unfit(f"is no JSON Schema: {error.message}") from error
    _check_references(schema, parts)
    _check_patterns(parts)
    return ClientSchema(schema)


def _check_references(schema: Schema, parts: Sequence[Schema]) -> None:
    resolver = Registry[Any]().resolver_with_root(DRAFT202012.create_resource(schema))
    named = {
        part[name] for part in parts for name in _REFERENCES if isinstance(part.get(name), str)
    }
    for reference in sorted(named):
        try:
            found: object = resolver.lookup(reference).contents
            # What lies inside of the schema was looked at with it, if it lies where schemas do.
            if not any(found is part for part in parts):
                Draft202012Validator.check_schema(cast(Any, found))
        except _NO_SCHEMA as error:
            raise Unfit(f"refers to {reference!r}, which is no schema in it") from error


def _check_patterns(parts: Sequence[Schema]) -> None:
    start = time.monotonic()
    for part in parts:
        if "patternProperties" in part:
            raise Unfit("has 'patternProperties', which is not served here")
        if isinstance(pattern := part.get("pattern"), str):
            try:
                _matcher(pattern)
            except PatternError as error:
                why = str(error).strip().splitlines()[-1].strip()
                raise Unfit(f"has the pattern {pattern!r}, which is not served: {why}") from error
        if time.monotonic() - start > MOST_PATTERN_SECONDS:
            raise Unfit("has patterns that take too long to be read")


def _schemas_in(schema: Schema) -> Iterator[Schema]:
    waiting: list[object] = [schema]
    while waiting:
        one = waiting.pop()
        if isinstance(one, list):
            waiting += cast(list[object], one)
        elif isinstance(one, dict):
            found = cast(Schema, one)
            yield found
            for name, value in found.items():
                if name in _NAMED and isinstance(value, dict):
                    waiting += cast(Schema, value).values()
                elif name not in _VALUES:
                    waiting.append(value)


def _without_dialect(node: Any) -> Any:
    """Without `$schema`, which would have another validator, and that counts nothing."""
    if isinstance(node, list):
        return [_without_dialect(each) for each in cast(list[Any], node)]
    if not isinstance(node, dict):
        return node
    return {
        name: _without_dialect(value)
        for name, value in cast(Schema, node).items()
        if not (name == "$schema" and isinstance(value, str))
    }


def _bounded(work: Callable[[], None]) -> None:
    token = _left.set(iter(range(MOST_STEPS)))  # a count that needs no state of its own
    try:
        work()
    finally:
        _left.reset(token)


def _counted(name: str, keyword: Keyword) -> Keyword:
    def counted(*args: Any) -> Iterator[ValidationError]:
        left = _left.get()
        for _ in range(_steps(name, args[1])):
            if next(left, None) is None:
                raise _TooMuch
        yield from keyword(*args) or ()

    return counted


def _steps(name: str, said: object) -> int:
    """How much work a keyword is at most, by what is said there."""
    if name in _REFERENCES:
        return _STEPS_OF_A_REFERENCE
    if not isinstance(said, list | dict):
        return 1
    size = len(cast(list[object], said))
    return 1 + (size if name == "enum" else size // _NAMES_OF_A_STEP)


def _pattern(*args: Any) -> Iterator[ValidationError]:
    _, pattern, value, _ = args
    if isinstance(value, str) and not _matcher(pattern).isinstance_python(value):
        yield ValidationError(f"{value!r} does not match {pattern!r}")


def _unique_items(*args: Any) -> Iterator[ValidationError]:
    _, is_wanted, value, _ = args
    if is_wanted and isinstance(value, list):
        items = cast(list[object], value)
        if len({_key(item) for item in items}) < len(items):
            yield ValidationError(f"{value!r} has items twice")


def _key(value: object) -> object:
    """The same for equal values alone: 1 is 1.0, and not true."""
    if isinstance(value, dict):
        fields = cast(Schema, value).items()
        return frozenset((name, _key(field)) for name, field in fields)
    if isinstance(value, list):
        return tuple(_key(item) for item in cast(list[object], value))
    return isinstance(value, bool), value


@lru_cache(maxsize=256)
def _matcher(pattern: str) -> SchemaValidator:
    """Matches in linear time (https://docs.rs/regex)."""
    return SchemaValidator(core_schema.str_schema(pattern=pattern, regex_engine="rust-regex"))


_KEYWORDS: Mapping[str, Keyword] = {
    **Draft202012Validator.VALIDATORS,
    "pattern": _pattern,
    "uniqueItems": _unique_items,
}
_COUNTED = {name: _counted(name, keyword) for name, keyword in _KEYWORDS.items()}
_Counting = cast(Any, extend)(Draft202012Validator, _COUNTED)
