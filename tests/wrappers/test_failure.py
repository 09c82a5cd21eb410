"""What people are told about an exception of a wrapper."""

from pathlib import Path

import pytest

from hayserve.deployments.loader import load_module
from hayserve.wrappers.failure import explain, shorten_paths, user_frame, user_place


class ComponentFailed(Exception):
    def __init__(self, component_name: str | None) -> None:
        super().__init__("The following component failed to run:\nComponent name: 'x'")
        self.component_name = component_name


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


def run(source: str, file: Path) -> BaseException:
    file.write_text(source)
    try:
        exec(compile(source, str(file), "exec"), {})
    except Exception as error:  # noqa: BLE001  # any error is what is wanted
        return error
    raise AssertionError("it did not raise")


def test_an_exception_is_told_with_its_type_and_text() -> None:
    assert explain(ValueError("bad city")) == "ValueError: bad city"


def test_an_exception_without_text_is_told_with_its_type() -> None:
    assert explain(TimeoutError()) == "TimeoutError"


def test_line_breaks_become_spaces() -> None:
    assert explain(ValueError("first\n   second")) == "ValueError: first second"


def test_an_exception_that_cannot_describe_itself_is_told_with_its_type() -> None:
    assert explain(Mute()) == "Mute"


def test_a_very_long_text_is_cut() -> None:
    assert explain(ValueError("x" * 3000)) == f"ValueError: {'x' * 2000}…"


def test_a_failed_component_is_named_beside_its_own_error() -> None:
    error = ComponentFailed("weather")
    error.__cause__ = ValueError("no such city")
    assert explain(error) == "ValueError: no such city (in component 'weather')"


def test_a_failed_component_within_a_component_names_both() -> None:
    inner, outer = ComponentFailed("llm"), ComponentFailed("rag")
    inner.__cause__ = ValueError("no key")
    outer.__cause__ = inner
    assert explain(outer) == "ValueError: no key (in component 'llm') (in component 'rag')"


def test_a_failed_component_without_a_cause_keeps_its_text() -> None:
    assert explain(ComponentFailed("x")) == (
        "ComponentFailed: The following component failed to run: Component name: 'x'"
    )


def test_private_package_names_are_not_shown() -> None:
    error = ImportError("cannot import name 'x' from '_hayserve_12_my_agent.helper'")
    assert explain(error) == "ImportError: cannot import name 'x' from 'helper'"
    assert explain(ImportError("in _hayserve_12_my_agent")) == "ImportError: in my_agent"


def test_a_syntax_error_is_told_without_its_file() -> None:
    with pytest.raises(SyntaxError) as raised:
        compile("x = (", "/srv/wrappers/x.py", "exec")
    assert explain(raised.value) == "SyntaxError: '(' was never closed"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("No such file: '/home/me/data.txt'", "No such file: '…/data.txt'"),
        ("No such file: '/home/my own/data one.txt'", "No such file: '…/data one.txt'"),
        ("in /srv/app/x.py:12, and /srv/y/", "in …/x.py:12, and …/y/"),
        (r"open C:\Users\me\x.py", "open …/x.py"),
        (r"open 'C:\\Users\\me\\x.py'", "open '…/x.py'"),
        ("file:///srv/app/x.py", "…/x.py"),
        ("(/opt/lib/a.so)", "(…/a.so)"),
        ("https://example.org/v1/chat", "https://example.org/v1/chat"),
        ("read and/or write 1/2/3", "read and/or write 1/2/3"),
        ("./here/x.py and ~/x/y.py", "./here/x.py and ~/x/y.py"),
    ],
)
def test_absolute_paths_are_reduced_to_their_last_part(text: str, shown: str) -> None:
    assert shorten_paths(text) == shown


def test_the_place_is_the_innermost_line_in_the_folder(tmp_path: Path) -> None:
    error = run("import json\n\ndef f():\n    json.loads('{')\n\nf()\n", tmp_path / "wrapper.py")
    assert user_frame(error, tmp_path) == "wrapper.py line 4"


def test_the_place_in_a_subfolder_is_relative_to_the_folder(tmp_path: Path) -> None:
    (tmp_path / "tools").mkdir()
    error = run("1 / 0", tmp_path / "tools" / "math.py")
    assert user_frame(error, tmp_path) == "tools/math.py line 1"


def test_the_place_of_an_error_raised_elsewhere_is_that_of_its_cause(tmp_path: Path) -> None:
    error = RuntimeError("wrapped")
    error.__cause__ = run("\n1 / 0", tmp_path / "wrapper.py")
    assert user_frame(error, tmp_path) == "wrapper.py line 2"


def test_an_error_that_never_passed_the_folder_has_no_place(tmp_path: Path) -> None:
    error, other = ValueError("x"), ValueError("y")
    error.__cause__, other.__cause__ = other, error
    assert not user_frame(error, tmp_path)


def test_the_place_of_a_syntax_error_is_in_the_file_that_has_it(tmp_path: Path) -> None:
    assert user_frame(run("x = (", tmp_path / "w.py"), tmp_path) == "w.py line 1"
    error = SyntaxError("bad", (str(tmp_path / "w.py"), 3, 1, "x = ("))
    assert user_frame(error, tmp_path) == "w.py line 3"
    assert not user_frame(SyntaxError("bad"), tmp_path)


def test_what_is_installed_in_the_folder_is_not_the_users(tmp_path: Path) -> None:
    installed = tmp_path / ".venv" / "lib" / "site-packages"
    installed.mkdir(parents=True)
    assert not user_frame(run("1 / 0", installed / "math.py"), tmp_path)


def test_the_place_of_a_failed_component_is_in_the_component(tmp_path: Path) -> None:
    error = ComponentFailed("weather")
    error.__cause__ = run("\n1 / 0", tmp_path / "weather.py")
    assert user_frame(error, tmp_path) == "weather.py line 2"


def test_the_place_of_a_failed_component_of_others_is_where_it_was_called(tmp_path: Path) -> None:
    file = tmp_path / "wrapper.py"
    error = run("error = ValueError()\nerror.component_name = 'x'\nraise error", file)
    error.__cause__ = ValueError("no such city")
    assert user_frame(error, tmp_path) == "wrapper.py line 3"


@pytest.mark.parametrize(
    ("file", "place"),
    [
        ("wrapper.py", "wrapper.py line 2"),
        ("__init__.py", "__init__.py line 2"),
        ("tools/__init__.py", "tools/__init__.py line 2"),
        ("tools/deep/math.py", "tools/deep/math.py line 2"),
    ],
)
def test_the_place_is_found_without_knowing_the_folder(
    tmp_path: Path, file: str, place: str
) -> None:
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).write_text("def divide():\n    return 1 / 0\n")
    module = file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    source = "from . import divide" if file == "__init__.py" else f"from .{module} import divide"
    (tmp_path / "entry.py").write_text(source)
    code = load_module(tmp_path, "entry", name="it")
    with pytest.raises(ZeroDivisionError) as raised:
        code.module.divide()
    code.unload()
    assert user_place(raised.value) == place


@pytest.mark.parametrize(
    "names",
    [
        {"__name__": "__main__"},
        {"__name__": "_hayserve_1_x.a"},
        {"__name__": "_hayserve_1_x.a.b.c", "__file__": "/x.py"},
    ],
)
def test_code_that_does_not_say_its_file_has_no_place(names: dict[str, str]) -> None:
    with pytest.raises(ZeroDivisionError) as raised:
        exec("1 / 0", names)
    assert not user_place(raised.value)
