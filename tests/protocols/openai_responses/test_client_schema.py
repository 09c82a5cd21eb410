"""A client's schema holds values to it, and never takes the server's time."""

from typing import Any

import pytest

import hayserve.protocols.openai_responses.client_schema as room
from hayserve.protocols.openai_responses.client_schema import (
    MOST_CHARACTERS,
    MOST_SCHEMAS,
    MOST_STEPS,
    Unfit,
    client_schema,
)

# Twice as much work with each of them.
DOUBLING = {
    "$defs": {
        **{f"a{n}": {"anyOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 2} for n in range(40)},
        "a40": {"type": "string"},
    },
    "$ref": "#/$defs/a0",
}
PATTERNED = {"type": "object", "properties": {"pattern": {"pattern": "^a+$"}}}


FULL = {f"p{n}": n for n in range(9000)}


def deep(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for _ in range(levels):
        schema = {"not": schema}
    return schema


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"$schema": "http://json-schema.org/draft-07/schema#", "type": "integer"}, 1),
        (PATTERNED, {"pattern": "aaa"}),
        ({"pattern": "^a"}, 7),
        ({"const": {"pattern": "("}}, {"pattern": "("}),
        ({"properties": {"patternProperties": {"type": "integer"}}}, {"patternProperties": 1}),
        ({"properties": {"a": {"$ref": "#/properties/b"}, "b": {"type": "integer"}}}, {"a": 1}),
        ({"properties": {"$schema": {"type": "string"}}}, {"$schema": "x"}),
        ({"uniqueItems": True}, [1, True, 0, False, "1", [1], {"a": 1}, {"b": 1}]),
        ({"uniqueItems": False}, [1, 1]),
        ({"uniqueItems": True}, "aa"),
        ({"enum": [*range(100)]}, 99),
        ({"examples": [{"type": "integer"}], "$ref": "#/examples/0"}, 1),
    ],
)
def test_what_fits_has_no_fault(schema: Any, value: Any) -> None:
    assert client_schema(schema).fault(value) is None


@pytest.mark.parametrize(
    ("schema", "value", "why"),
    [
        ({"type": "integer"}, "1", "'1' is not of type 'integer'"),
        (PATTERNED, {"pattern": "b"}, "'b' does not match '^a+$'"),
        ({"properties": {"$schema": {"type": "string"}}}, {"$schema": 1}, "1 is not of type"),
        ({"pattern": "^(a+)+$"}, "a" * 100_000 + "b", "does not match"),
        ({"$ref": "#"}, 1, "leads nowhere"),
        ({"uniqueItems": True}, [1, 1.0], "has items twice"),
        ({"uniqueItems": True}, [{"a": [1], "b": 2}, {"b": 2, "a": [1]}], "has items twice"),
        ({"multipleOf": 0.1}, 10**400, "cannot be held to the schema: int too large"),
        ({"items": {"enum": [[n] for n in range(9000)]}}, [[8999]] * 9, "steps"),
        ({"items": {"required": [*FULL]}}, [FULL] * 90, "steps"),
        (DOUBLING, 1, f"in {MOST_STEPS} steps"),
        ({"$schema": "http://json-schema.org/draft-07/schema#", **DOUBLING}, 1, "steps"),
    ],
)
def test_what_does_not_fit_is_told(schema: Any, value: Any, why: str) -> None:
    fault = client_schema(schema).fault(value)
    assert why in (fault or "")


REFUSED: list[tuple[Any, str]] = [
    ({"type": "no such"}, "is no JSON Schema"),
    ({"properties": {f"p{n}": {} for n in range(MOST_SCHEMAS)}}, "more than 1000 schemas"),
    (deep(900), "goes too deep"),
    ({"description": "x" * MOST_CHARACTERS}, "longer than 256000 characters"),
    ({"$ref": "#/$defs/nothing"}, "'#/\\$defs/nothing', which is no schema in it"),
    ({"$ref": "#/examples/0", "examples": [1]}, "'#/examples/0', which is no schema in it"),
    ({"pattern": "(?=a)b"}, "look-around"),
    ({"pattern": r"(\w{1000}){1000}"}, "exceeds size limit"),
    ({"pattern": "("}, "is no JSON Schema"),
    ({"items": [{"pattern": "a"}]}, "is no JSON Schema"),
    ({"patternProperties": {"a": {}}}, "has 'patternProperties'"),
]


@pytest.mark.parametrize(("schema", "why"), REFUSED)
def test_a_schema_that_cannot_be_used_is_refused(schema: Any, why: str) -> None:
    with pytest.raises(Unfit, match=why):
        client_schema(schema)


def test_patterns_may_not_take_long_to_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "MOST_PATTERN_SECONDS", -1.0)
    with pytest.raises(Unfit, match="take too long"):
        client_schema({"pattern": "^never seen before$"})


def test_a_schema_is_looked_at_once() -> None:
    assert client_schema({"type": "integer"}) is client_schema({"type": "integer"})
