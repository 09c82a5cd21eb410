"""Clients may note a few short texts of what is kept for them."""

from typing import Any

import pytest

from hayserve.errors import InvalidRequest
from hayserve.protocols.notes import notes_in


def test_a_few_short_texts_may_be_noted() -> None:
    most = {f"{number:064}": "x" * 512 for number in range(16)}
    assert notes_in({"metadata": most}) == most


@pytest.mark.parametrize("body", [{}, {"metadata": None}, {"metadata": {}}])
def test_nothing_need_be_noted(body: dict[str, Any]) -> None:
    assert notes_in(body) == {}


@pytest.mark.parametrize(
    "notes",
    [
        "topic",
        ["topic"],
        {"topic": 1},
        {"topic": None},
        {"x" * 65: "y"},
        {"topic": "x" * 513},
        {str(number): "x" for number in range(17)},
    ],
)
def test_nothing_else_can_be_noted(notes: Any) -> None:
    with pytest.raises(InvalidRequest, match="at most 16 texts") as refused:
        notes_in({"metadata": notes})
    assert refused.value.param == "metadata"
