"""The picture of the figures."""

import itertools
from xml.etree import ElementTree

import pytest

from benchmarks.plot import ASKED, OURS, Bar, Line, Scale, svg

SVG = "{http://www.w3.org/2000/svg}"


def test_a_scale_maps_by_the_logarithm_and_stays_inside() -> None:
    scale = Scale(1, 100, 0, 200)

    assert [scale.at(value) for value in (0.1, 1, 10, 100, 1000)] == [0, 0, 100, 200, 200]
    assert scale.ticks() == [1, 2, 5, 10, 20, 50, 100]


def test_a_bar_shows_whether_what_is_asked_for_is_reached() -> None:
    drawn = ElementTree.fromstring(svg([Bar("fast", 9, 8), Bar("slow", 7, 8), Bar("any", 0.5)], []))
    colors = [rect.get("fill") for rect in drawn.iter(f"{SVG}rect")][1:]
    texts = [text.text for text in drawn.iter(f"{SVG}text")]

    assert colors == [OURS, ASKED, ASKED]
    assert {"fast", "9.0x", "slow", "7.0x", "any", "0.5x"} <= {*texts}


def test_labels_of_lines_do_not_lie_on_each_other() -> None:
    lines = [Line(f"line {n}", {32: 1.0, 128: 1.0 + n / 100}) for n in range(4)]
    drawn = ElementTree.fromstring(svg([Bar("it", 2)], lines))
    places = sorted(
        float(text.get("y", 0))
        for text in drawn.iter(f"{SVG}text")
        if (text.text or "").startswith("line")
    )

    assert len([*drawn.iter(f"{SVG}polyline")]) == 4
    assert min(b - a for a, b in itertools.pairwise(places)) == pytest.approx(14)


def test_text_is_escaped() -> None:
    assert "a &lt; b" in svg([Bar("a < b", 2)], [])
