"""How parameters are read that nobody here knows the types of."""

from typing import Any

import pytest

from hayserve.cli.wishes import parameters_in


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", "3"),
        ("007", "007"),
        ("", ""),
        ("a=b", "a=b"),
        ("true", True),
        ("null", None),
        ("[1]", [1]),
        ('{"a": 1}', {"a": 1}),
        ("[a]", "[a]"),
        ("[", "["),
    ],
)
def test_only_what_is_json_beyond_doubt_is_json(text: str, value: Any) -> None:
    assert parameters_in([f"k={text}"]) == {"k": value}
