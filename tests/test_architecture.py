"""The walls that keep the code readable: sizes, names, docstrings, tests beside what they test."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "hayserve"
MODULES = sorted(SOURCE.rglob("*.py"))
MODULE_WALL = 400
FUNCTION_WALL = 50
NAMES_THAT_SAY_NOTHING = {"utils", "util", "helpers", "helper", "common", "core", "misc", "manager"}
# Where the code of users is called: anything can come out of it, and must not go further.
BORDERS = (
    "wrappers/",
    "compat/",
    "deployments/load.py",
    "deployments/loader.py",
    "runs/execute.py",
    "protocols/openai_responses/keeper.py",  # tasks that outlive a request
    "protocols/openai_responses/recorder.py",  # likewise
    "protocols/sse.py",  # the middleware of an application, where no caller would see it raise
    "server/exchange.py",  # likewise
)

modules = pytest.mark.parametrize(
    "module", [pytest.param(path, id=str(path.relative_to(SOURCE))) for path in MODULES]
)


def functions_in(module: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def lines_of_code(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Its lines without the docstring: what a parameter means may take as long as it takes."""
    docstring = function.body[0] if ast.get_docstring(function, clean=False) else None
    said = (docstring.end_lineno or 0) - docstring.lineno + 1 if docstring else 0
    return (function.end_lineno or 0) - function.lineno + 1 - said


@modules
def test_a_module_can_be_read_in_one_sitting(module: Path) -> None:
    assert len(module.read_text().splitlines()) <= MODULE_WALL


@modules
def test_a_function_can_be_read_without_scrolling(module: Path) -> None:
    too_long = [
        function.name
        for function in functions_in(module)
        if lines_of_code(function) > FUNCTION_WALL
    ]

    assert too_long == []


@modules
def test_a_module_says_what_it_is_for(module: Path) -> None:
    tree = ast.parse(module.read_text())
    docstring = ast.get_docstring(tree)

    assert docstring or not tree.body
    assert (docstring or "x.").partition("\n\n")[0].rstrip().endswith((".", ":", "?"))


@modules
def test_a_modules_name_says_something(module: Path) -> None:
    assert module.stem not in NAMES_THAT_SAY_NOTHING
    assert not module.stem.startswith("base_")


@modules
def test_nothing_mutable_lives_at_module_level(module: Path) -> None:
    for node in ast.parse(module.read_text()).body:
        value = getattr(node, "value", None)
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(value, ast.List | ast.Set):
            assert names_of(node) <= {"__all__"}, ast.unparse(node)
        assert not [inner for inner in ast.walk(node) if isinstance(inner, ast.Global)]


def names_of(node: ast.Assign | ast.AnnAssign) -> set[str]:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return {target.id for target in targets if isinstance(target, ast.Name)}


@modules
def test_blind_excepts_stand_at_the_border_to_users_code_and_say_why(module: Path) -> None:
    lines = module.read_text().splitlines()
    blind = [
        lines[node.lineno - 1]
        for node in ast.walk(ast.parse(module.read_text()))
        if isinstance(node, ast.ExceptHandler) and is_blind(node)
    ]

    assert not blind or str(module.relative_to(SOURCE)).startswith(BORDERS)
    assert [line for line in blind if "#" not in line] == []


def is_blind(handler: ast.ExceptHandler) -> bool:
    caught = ast.unparse(handler.type) if handler.type else "BaseException"
    if handler.body and isinstance(handler.body[-1], ast.Raise) and handler.body[-1].exc is None:
        return False  # it only cleans up
    return bool({"Exception", "BaseException"} & set(caught.strip("()").split(", ")))


def is_of(test: Path, home: Path) -> bool:
    return (home / test.parent / test.name.removeprefix("test_")).is_file()


def test_a_test_lies_beside_what_it_tests_and_has_its_name() -> None:
    """Every room has its tests; coverage knows whether they reach every module."""
    tests = ROOT / "tests"
    free = {"e2e", "attacks", "compat", "fuzz"}  # whole processes, whole wrappers, all readers
    astray = [
        str(path.relative_to(tests))
        for path in sorted(tests.rglob("test_*.py"))
        if path.parent != tests and path.relative_to(tests).parts[0] not in free
        if not any(is_of(path.relative_to(tests), home) for home in (SOURCE, ROOT))  # or benchmarks
    ]
    without_tests = [
        room.name
        for room in SOURCE.iterdir()
        if (room / "__init__.py").is_file() and not [*(tests / room.name).rglob("test_*.py")]
    ]

    assert astray == []
    assert without_tests == []
