"""The schemas of a description, wherever they come from."""

import math

from hayserve.protocols.rest.components import Components


def test_what_a_schema_defines_has_its_name_before_its_own() -> None:
    components = Components()
    schema = {"title": "Pet", "anyOf": [{"$ref": "#/$defs/Cat"}], "$defs": {"Cat": {"title": "C"}}}
    assert components.add(schema, name="it_Pet") == {"$ref": "#/components/schemas/it_Pet"}
    assert components.schemas == {
        "it_Pet": {"title": "it_Pet", "anyOf": [{"$ref": "#/components/schemas/it_Pet_Cat"}]},
        "it_Pet_Cat": {"title": "it_Pet_Cat"},
    }


def test_a_definition_may_be_true_or_false() -> None:
    components = Components()
    components.add({"type": "object", "$defs": {"Any": True}}, name="it")
    assert components.schemas == {"it": {"type": "object"}, "it_Any": True}


def test_what_is_not_json_is_left_open() -> None:
    components = Components()
    components.add({"default": {1, 2}}, name="it")
    components.add({"type": "number", "default": math.inf}, name="other")
    assert components.schemas == {"it": {}, "other": {"type": "number"}}
