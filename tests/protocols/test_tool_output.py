"""What a client's tool gave becomes a text, whatever it is."""

from typing import Any

import pytest

from hayserve.protocols.tool_output import output_text


@pytest.mark.parametrize(
    ("output", "text"),
    [
        ("Sunny.", "Sunny."),
        ([{"type": "input_text", "text": "a"}, {"type": "output_text", "text": "b"}], "a\nb"),
        ([{"type": "text", "text": "a"}], "a"),
        ([], ""),
        ([{"type": "text", "text": 1}], '[{"type": "text", "text": 1}]'),
        ([{"type": "image", "url": "é"}], '[{"type": "image", "url": "é"}]'),
        (["a"], '["a"]'),
        ({"degrees": 21}, '{"degrees": 21}'),
        (None, "null"),
    ],
)
def test_an_output_becomes_a_text(output: Any, text: str) -> None:
    assert output_text(output) == text
