"""What can go wrong, and how it is told."""

import re
from collections.abc import Iterator

import pytest

from hayserve import errors
from hayserve.errors import (
    DeployRefused,
    HayserveError,
    InvalidInput,
    InvalidRequest,
    Misconfigured,
    NameTaken,
    NotFound,
    NotReady,
    Problem,
    TooLarge,
    WrapperRefused,
    as_fields,
    from_fields,
)

BRANCH = re.compile(r"^ {4}(?P<lines>[│ ]*[├└]── )?(?P<name>[A-Z]\w+)\b", re.MULTILINE)


def drawn() -> dict[str, str | None]:
    """The tree in the module's docstring: each class with the one above it."""
    above: list[str] = []
    tree: dict[str, str | None] = {}
    for branch in BRANCH.finditer(errors.__doc__ or ""):
        depth = len(branch["lines"] or "") // 4
        above[depth:] = [branch["name"]]
        tree[branch["name"]] = above[depth - 1] if depth else None
    return tree


def real(kind: type[HayserveError] = HayserveError) -> Iterator[type[HayserveError]]:
    yield kind
    for below in kind.__subclasses__():
        if below.__module__ == errors.__name__:
            yield from real(below)


def test_the_tree_in_the_docstring_is_the_real_one() -> None:
    tree = {kind.__name__: kind.__base__ and kind.__base__.__name__ for kind in real()}
    assert drawn() == {**tree, "HayserveError": None}
    assert len(tree) > 15


def test_every_error_has_a_code_of_its_own() -> None:
    codes = [kind.code for kind in real()]
    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch(r"[a-z_]+", code) for code in codes)


def test_an_error_says_what_is_wrong_and_what_to_do() -> None:
    error = NotFound("There is no 'x'.", hint="Look at y.", param="name")
    assert str(error) == "There is no 'x'. Look at y."
    assert (error.message, error.hint, error.param) == ("There is no 'x'.", "Look at y.", "name")
    assert str(NotFound("There is no 'x'.")) == "There is no 'x'."
    assert str(NotFound("There is no 'x'", hint="Look at y.")) == "There is no 'x'. Look at y."
    assert str(NotFound("Where is 'x'?", hint="Look at y.")) == "Where is 'x'? Look at y."
    assert str(NotFound("", hint="Look at y.")) == "Look at y."


def test_invalid_input_names_the_first_field_that_is_wrong() -> None:
    problems = [Problem(("body", "list", 0), "too short", "short"), Problem(("b",), "no", "no")]
    error = InvalidInput("Wrong.", problems=problems)
    assert error.param == "body.list.0"
    assert error.problems == tuple(problems)
    assert InvalidInput("Wrong.", problems=[]).param is None
    assert isinstance(error, InvalidRequest)


@pytest.mark.parametrize(("detail", "message"), [("no", "no"), ({"a": 1}, "{'a': 1}")])
def test_a_refusal_keeps_what_the_wrapper_said(detail: object, message: str) -> None:
    refusal = WrapperRefused(402, detail, {"x-a": "b"})
    assert (refusal.status, refusal.detail, refusal.headers) == (402, detail, {"x-a": "b"})
    assert refusal.message == message
    assert WrapperRefused(402, detail).headers == {}


@pytest.mark.parametrize(
    "kind", [InvalidRequest, TooLarge, NotFound, NameTaken, NotReady, Misconfigured, DeployRefused]
)
def test_an_error_is_the_same_in_another_process(kind: type[HayserveError]) -> None:
    there = from_fields(as_fields(kind("No.", hint="Try.", param="x")))
    assert type(there) is kind
    assert (there.message, there.hint, there.param) == ("No.", "Try.", "x")


def test_an_error_that_says_more_than_a_message_is_a_refusal_in_another_process() -> None:
    for error in (WrapperRefused(402, "no"), InvalidInput("no", problems=[])):
        there = from_fields(as_fields(error))
        assert type(there) is DeployRefused
        assert there.message == "no"
