"""YAML that is not a pipeline's, and where things stand in YAML that is."""

from contextlib import suppress
from pathlib import Path

import pytest

from hayserve.errors import DeployRefused
from hayserve.testing import serve
from hayserve.wrappers.yaml_document import YAMLDocument

EMPTY = (
    "The YAML document is empty. A pipeline's YAML is a mapping with `components`, `connections`, "
    "`inputs` and `outputs`."
)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("", EMPTY),
        ("# nothing\n", EMPTY),
        ("null\n", EMPTY),
        (
            "hello\n",
            (
                "The YAML document is a str, not a mapping. A pipeline's YAML is a mapping with "
                "`components`, `connections`, `inputs` and `outputs`."
            ),
        ),
        (
            "- a\n",
            (
                "The YAML document is a list, not a mapping. A pipeline's YAML is a mapping with "
                "`components`, `connections`, `inputs` and `outputs`."
            ),
        ),
        (
            "a: 1\nb: [1\n",
            (
                "line 3, column 1: this is not valid YAML: while parsing a flow sequence: expected "
                "',' or ']', but got '<stream end>'. "
                "Check the indentation, colons and quotes there and in the line above."
            ),
        ),
        (
            "a: !!python/object:os.system {}\n",
            (
                "line 1, column 4: this is not valid YAML: could not determine a constructor for "
                "the tag 'tag:yaml.org,2002:python/object:os.system'. "
                "Check the indentation, colons and quotes there and in the line above."
            ),
        ),
        ("a: 2024-13-45\n", "The YAML cannot be read: month must be in 1..12."),
        (
            "components:\n  a: 1\n  b: 2\n  a: 3\n",
            "line 4: components.a is defined twice, first in line 2. Remove or rename one of them.",
        ),
        (
            "a: 1\nb: \0",
            (
                "The YAML cannot be read: unacceptable character #x0000: special characters are "
                'not allowed\n  in "<unicode string>", position 8.'
            ),
        ),
        ("a: 1\nb: &x [1, *x]\n", "line 2: the value contains itself."),
        (
            "a: &a [1, 2, 3, 4, 5, 6, 7, 8, 9, 0]\n"
            + "".join(f"{n}: &{n} [{f'*{o}, ' * 10}]\n" for o, n in ("ab", "bc", "cd", "de")),
            "line 5: the value is too large: with its aliases it has more than 100000 parts.",
        ),
        (
            "inputs: {}\ninputs: {}\n",
            "line 2: inputs is defined twice, first in line 1. Remove or rename one of them.",
        ),
    ],
)
def test_what_is_no_mapping_is_refused(source: str, said: str) -> None:
    with pytest.raises(DeployRefused) as refused:
        YAMLDocument(source)
    assert str(refused.value) == said


def test_too_deep_a_nesting_is_refused() -> None:
    with pytest.raises(DeployRefused, match=r"The YAML cannot be read: maximum recursion"):
        YAMLDocument("[" * 5000)


@pytest.mark.timeout(10)
def test_merges_that_grow_without_end_are_refused_at_once(tmp_path: Path) -> None:
    merges = "".join(
        f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}\n" for n in range(1, 12)
    )
    bomb = tmp_path / "bomb.yml"
    bomb.write_text(f"a0: &a0 {{x: 1}}\n{merges}")
    with pytest.raises(DeployRefused, match="line 6: the value is too large"), serve(bomb):
        pass


def test_a_merge_of_itself_is_refused() -> None:
    with pytest.raises(DeployRefused, match=r"line 1: the value contains itself\."):
        YAMLDocument("a: &a {<<: *a}\n")


@pytest.mark.parametrize("depth", range(150, 1000, 150))
def test_no_depth_of_nesting_is_a_mistake_of_the_server(depth: int) -> None:
    with suppress(DeployRefused):
        YAMLDocument("a: " + "[" * depth + "]" * depth)


def test_an_entry_may_override_what_is_merged() -> None:
    document = YAMLDocument("base: &base {a: 1, b: 2}\ninputs:\n  <<: *base\n  a: 3\n")
    assert document.data["inputs"] == {"a": 3, "b": 2}
    assert document.line("inputs", "a") == 4


def test_an_entry_that_is_not_there_has_the_line_of_what_is_around_it() -> None:
    document = YAMLDocument("a:\n  b:\n  - x\n  - y\n")
    assert document.line() == 1
    assert document.line("a", "b") == 2
    assert document.line("a", "b", 1) == 4
    assert document.line("a", "b", 9) == 2
    assert document.line("a", "c") == 1
    assert document.line("a", "b", 1, "z") == 4


def test_a_refusal_names_the_entry() -> None:
    refusal = YAMLDocument("a:\n- b: 1\n").refusal("no.", "a", 0, "b", hint="Do.")
    assert str(refusal) == "line 2: a[0].b: no. Do."
    assert refusal.param == "a[0].b"
