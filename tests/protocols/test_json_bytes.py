import json
from typing import Any

import pytest

from hayserve.protocols.json_bytes import to_json


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"é": [1, float("nan"), None]}, '{"é":[1,null,null]}'),
        ({1: {2}}, '{"1":"{2}"}'),
        ("\ud800", '"\\ud800"'),
        ({"big": 2**64, "inf": float("-inf")}, '{"big": 18446744073709551616, "inf": null}'),
    ],
)
def test_anything_becomes_json(value: object, text: str) -> None:
    def unknown(constant: str) -> Any:
        raise AssertionError(constant)

    assert to_json(value).decode() == text
    json.loads(text, parse_constant=unknown)


def test_what_json_has_no_form_for_is_written_as_asked() -> None:
    assert to_json([1j], default=lambda value: type(value).__name__) == b'["complex"]'
