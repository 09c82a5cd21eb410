"""What users import from `hayserve`, and what that costs."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import hayserve

TREE = ast.parse(Path(hayserve.__file__).read_text())


def python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=30
    )
    return done.stdout.strip()


def test_the_import_is_cheap() -> None:
    heavy = ("haystack", "starlette", "pydantic", "loguru", "uvicorn", "anyio")
    paid_for = f"import hayserve, sys; print([name for name in {heavy!r} if name in sys.modules])"
    assert python(paid_for) == "[]"


def test_everything_that_is_promised_can_be_imported() -> None:
    for name in hayserve.__all__:
        assert getattr(hayserve, name) is not None
    assert sorted(hayserve.__all__) == hayserve.__all__
    assert set(hayserve.__all__) <= set(dir(hayserve))


def test_a_star_import_brings_all_of_it() -> None:
    code = "from hayserve import *; import hayserve; print(set(hayserve.__all__) <= set(dir()))"
    assert python(code) == "True"


def test_the_type_checker_is_told_the_same_homes() -> None:
    told = {
        (alias.asname or alias.name): (node.module, alias.name)
        for block in TREE.body
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    [homes] = [
        ast.literal_eval(node.value)
        for node in TREE.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "_HOMES"
    ]
    assert told == homes
    assert {*homes, "__version__"} == set(hayserve.__all__)


def test_another_name_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="module 'hayserve' has no attribute 'nothing'"):
        _ = hayserve.nothing


def test_the_version_is_that_of_the_package() -> None:
    assert hayserve.__version__.count(".") == 2
