"""An answer is held to the form that was asked for."""

from typing import Any

import pytest

from hayserve.errors import InvalidRequest
from hayserve.protocols.openai_responses.text_format import TextFormat

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
TREE = {
    "$defs": {
        "tree": {"type": "object", "properties": {"branches": {"$ref": "#/$defs/trees"}}},
        "trees": {"type": "array", "items": {"$ref": "#/$defs/tree"}},
    },
    "$ref": "#/$defs/tree",
}
# A reference that leads elsewhere than it seems to, and one that never ends.
ELSEWHERE = {
    "$defs": {"a": {"$id": "http://x/a", "$ref": "#/$defs/b"}, "b": {}},
    "$ref": "#/$defs/a",
}
NAMED = {"type": "json_schema", "name": "number", "schema": SCHEMA}


@pytest.mark.parametrize(
    ("form", "text"),
    [
        (None, "anything"),
        ({"type": "text"}, "anything"),
        ({"type": "json_object"}, '{"a": 1}'),
        (NAMED, '{"n": 1}'),
        ({**NAMED, "schema": TREE}, '{"branches": [{"branches": []}]}'),
    ],
)
def test_what_fits_has_no_fault(form: Any, text: str) -> None:
    assert TextFormat({"format": form}).fault(text) is None
    assert TextFormat(None).fault(text) is None


@pytest.mark.parametrize(
    ("form", "text", "why"),
    [
        ({"type": "json_object"}, "hello", "it is not JSON"),
        ({"type": "json_object"}, "[1]", "it is no JSON object"),
        (NAMED, "hello", "it is not JSON"),
        ({**NAMED, "schema": TREE}, '{"branches": [1]}', "1 is not of type 'object'"),
        ({**NAMED, "schema": {"$ref": "#"}}, "1", "leads nowhere"),
        ({**NAMED, "schema": ELSEWHERE}, "1", "leads nowhere"),
        (NAMED, '{"n": "1"}', "it does not match the schema: '1' is not of type"),
    ],
)
def test_what_does_not_fit_is_told(form: Any, text: str, why: str) -> None:
    fault = TextFormat({"format": form}).fault(text)
    assert fault is not None
    assert why in fault.message


@pytest.mark.parametrize(
    ("form", "param"),
    [
        ("json", "text.format.type"),
        ({"type": "xml"}, "text.format.type"),
        ({"type": "json_schema", "schema": SCHEMA}, "text.format"),
        ({"type": "json_schema", "name": "number"}, "text.format"),
        ({**NAMED, "schema": {"type": "no such"}}, "text.format.schema"),
        ({**NAMED, "schema": {"$ref": "#/$defs/nothing"}}, "text.format.schema"),
        ({**NAMED, "schema": {"$ref": "#/required", "required": ["a"]}}, "text.format.schema"),
        ({**NAMED, "schema": {"$ref": "#/required/a", "required": ["a"]}}, "text.format.schema"),
        ({**NAMED, "schema": {"$ref": "#/minimum/a", "minimum": 1}}, "text.format.schema"),
    ],
)
def test_a_form_that_cannot_be_is_refused(form: Any, param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        TextFormat({"format": form})
    assert refused.value.param == param


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/schema", "file:///etc/hostname"])
def test_nothing_is_fetched_for_a_schema(address: str) -> None:
    with pytest.raises(InvalidRequest, match="no schema in it") as refused:
        TextFormat({"format": {**NAMED, "schema": {"anyOf": [{"$ref": address}]}}})
    assert refused.value.param == "text.format.schema"
