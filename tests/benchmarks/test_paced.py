"""The search for the most streams."""

import pytest

from benchmarks.paced import most


@pytest.mark.parametrize("limit", [0, 16, 48, 64, 80, 256, 448, 1024])
def test_the_most_streams_that_are_fine_are_found(limit: int) -> None:
    assert most(lambda streams: streams <= limit) == limit


def test_few_numbers_are_tried() -> None:
    tried: list[int] = []

    def is_fine(streams: int) -> bool:
        tried.append(streams)
        return streams <= 450

    assert most(is_fine) == 448
    assert len(tried) <= 8
