"""A wrapper's code is loaded in place, or refused with the reason."""

import gc
import importlib
import sys
import weakref
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType

import pytest

from hayserve.deployments.loader import find_wrapper_class, load_module
from hayserve.errors import DeployRefused
from hayserve.wrappers.base import BasePipelineWrapper


def write(folder: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def refusal_of(folder: Path, source: str, **files: str) -> DeployRefused:
    write(folder, {"pipeline_wrapper.py": source, **files})
    before = packages_of("weather")
    with pytest.raises(DeployRefused) as raised:
        load_module(folder, "pipeline_wrapper", name="weather")
    assert str(folder) not in str(raised.value)
    assert packages_of("weather") <= before
    return raised.value


def packages_of(deployment: str) -> set[str]:
    """The private packages of deployments of that name, whoever loaded them."""
    return {name for name in sys.modules if name.endswith(f"_{deployment}")}


def test_files_beside_the_wrapper_can_be_read_at_any_time(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "pipeline_wrapper.py": "from pathlib import Path\n"
            "def read():\n    return (Path(__file__).parent / 'data.bin').read_bytes()\n",
        },
    )
    (tmp_path / "data.bin").write_bytes(b"\x89PNG\r\n\xff")
    code = load_module(tmp_path, "pipeline_wrapper", name="a")
    assert code.module.read() == b"\x89PNG\r\n\xff"
    assert code.module.__file__ == str(tmp_path / "pipeline_wrapper.py")
    code.unload()


def test_an_edit_within_the_same_second_is_seen(tmp_path: Path) -> None:
    seen: list[int] = []
    for number in (1, 2, 3):
        write(tmp_path, {"agent.py": "from helper import n", "helper.py": f"n = {number}"})
        code = load_module(tmp_path, "agent", name="a")
        seen.append(code.module.n)
        code.unload()
    assert seen == [1, 2, 3]


def test_unloading_leaves_nothing_behind(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "pipeline_wrapper.py": "from haystack import component\nfrom .helper import x\n"
            "@component\nclass Mine:\n    @component.output_types(out=str)\n"
            "    def run(self, text: str) -> dict[str, str]:\n        return {'out': text}\n",
            "helper.py": "x = 1",
        },
    )
    # Among all that this imports, something keeps whoever is the first to import it.
    importlib.import_module("haystack")
    path, modules = list(sys.path), set(sys.modules)
    code = load_module(tmp_path, "pipeline_wrapper", name="a")
    kept = weakref.ref(code.module.Mine)
    unload, package = code.unload, code.package
    assert f"{package}.helper" in sys.modules
    del code
    unload()
    unload()
    gc.collect()
    assert kept() is None
    assert sys.path == path
    assert not [name for name in set(sys.modules) - modules if name.startswith(package)]


def test_many_folders_load_at_once(tmp_path: Path) -> None:
    def load(number: int) -> tuple[int, int]:
        folder = write(
            tmp_path / f"d{number}",
            {
                # They leave `sys.path` alone: when it changes, coverage.py takes modules that other
                # threads are loading out of `sys.modules`.
                "pipeline_wrapper.py": "from helper import n\n",
                "helper.py": f"n = {number}",
            },
        )
        code = load_module(folder, "pipeline_wrapper", name="same")
        code.unload()
        return number, code.module.n

    path = list(sys.path)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(load, range(40)))
    assert found == [(number, number) for number in range(40)]
    assert sys.path == path


@pytest.mark.parametrize("module", ["pipeline_wrapper", "agent.v2"])
def test_a_module_that_cannot_be_there_is_refused(tmp_path: Path, module: str) -> None:
    write(tmp_path, {"agent.v2.py": ""})
    with pytest.raises(DeployRefused, match=f"'a' has no file '{module}.py'"):
        load_module(tmp_path, module, name="a")


def test_an_exception_at_import_is_told_with_its_place(tmp_path: Path) -> None:
    error = refusal_of(tmp_path, "import os\n\nraise ValueError(f'bad {__file__}')\n")
    assert error.message == (
        "'weather' cannot be loaded: ValueError: bad …/pipeline_wrapper.py "
        "(pipeline_wrapper.py line 3)."
    )
    assert error.hint == "Correct the code and load it again."
    assert isinstance(error.__cause__, ValueError)


def test_the_place_may_be_in_another_file_of_the_folder(tmp_path: Path) -> None:
    error = refusal_of(tmp_path, "from .tools import x", **{"tools/x.py": "\n1 / 0"})
    assert error.message == (
        "'weather' cannot be loaded: ZeroDivisionError: division by zero (tools/x.py line 2)."
    )


def test_a_syntax_error_is_told_with_its_line(tmp_path: Path) -> None:
    error = refusal_of(tmp_path, "x = 1\ny = (\n")
    assert error.message == (
        "'weather' cannot be loaded: SyntaxError: '(' was never closed "
        "(pipeline_wrapper.py line 2)."
    )
    assert error.hint == "Correct pipeline_wrapper.py line 2 and load it again."


def test_source_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pipeline_wrapper.py").write_bytes(b"x = '\xff'\n")
    with pytest.raises(DeployRefused, match="SyntaxError"):
        load_module(tmp_path, "pipeline_wrapper", name="weather")


def test_a_missing_package_is_to_be_installed(tmp_path: Path) -> None:
    error = refusal_of(tmp_path, "import no_such_package.inner")
    assert error.message == (
        "'weather' cannot be loaded: ModuleNotFoundError: No module named 'no_such_package' "
        "(pipeline_wrapper.py line 1)."
    )
    assert error.hint == (
        "Install the package that provides 'no_such_package' beside hayserve, or name the folder "
        "that holds it with `--additional-python-path`."
    )


@pytest.mark.parametrize(
    "source",
    [
        "from {} import X",
        "from {} import (\n    X,\n)",
        "import {} as bedrock",
    ],
)
@pytest.mark.parametrize("part", ["components.generators", "tools"])
def test_the_package_of_a_missing_integration_is_guessed(
    tmp_path: Path, source: str, part: str
) -> None:
    missing = f"haystack_integrations.{part}.amazon_bedrock"
    assert refusal_of(tmp_path, source.format(missing)).hint == (
        f"{missing!r} is probably in the package 'amazon-bedrock-haystack': "
        "`pip install amazon-bedrock-haystack` in the environment that hayserve runs in."
    )


def test_no_package_is_guessed_for_a_part_of_the_integrations(tmp_path: Path) -> None:
    hint = refusal_of(tmp_path, "import haystack_integrations").hint
    assert hint.startswith("Install the package that provides 'haystack_integrations'")


@pytest.mark.parametrize(
    ("source", "hint"),
    [
        ("from hayserve import get_last_user_mesage", "Did you mean 'get_last_user_message'?"),
        ("import hayserve\nhayserve.get_last_user_mesage", "Did you mean 'get_last_user_message'?"),
        ("from .helper import gret", "Did you mean 'greet'?"),
        ("from .helper import Farewell", "The names there are 'greet'."),
        ("from os import qqqqqqqq", "Correct the code and load it again."),
        ("raise ImportError('odd', name='hayserve')", "Correct the code and load it again."),
    ],
)
def test_the_name_that_was_meant_is_told(tmp_path: Path, source: str, hint: str) -> None:
    assert refusal_of(tmp_path, source, **{"helper.py": "def greet(): ..."}).hint == hint


@pytest.mark.parametrize("missing", ["fastapi", "fastapi_openai_compat", "fastapi.responses"])
def test_what_hayhooks_brings_along_is_an_extra(tmp_path: Path, missing: str) -> None:
    source = f"raise ModuleNotFoundError(\"No module named '{missing}'\", name='{missing}')"
    assert (
        refusal_of(tmp_path, source).hint == "Install it with `pip install 'hayserve[hayhooks]'`."
    )


def test_a_missing_file_of_the_folder_is_to_be_added(tmp_path: Path) -> None:
    error = refusal_of(tmp_path, "from .tools.deep import x", **{"tools/__init__.py": ""})
    assert error.message == (
        "'weather' cannot be loaded: ModuleNotFoundError: No module named 'tools.deep' "
        "(pipeline_wrapper.py line 1)."
    )
    assert error.hint == ("Add 'tools/deep.py' to the wrapper's folder, or correct the import.")


def test_ending_the_process_is_refused(tmp_path: Path) -> None:
    error = refusal_of(tmp_path, "import sys\nsys.exit(3)")
    assert error.message == (
        "'weather' cannot be loaded: SystemExit: 3 (pipeline_wrapper.py line 2)."
    )
    assert error.hint == ("A wrapper must not end the process: take the call of `sys.exit()` out.")


def test_an_error_without_a_place_is_told_without_one(tmp_path: Path) -> None:
    error = refusal_of(tmp_path, "error = SyntaxError('odd')\nexec('raise error')")
    assert error.message.startswith("'weather' cannot be loaded: SyntaxError: odd")


def test_an_interrupt_is_passed_on_and_everything_unloaded(tmp_path: Path) -> None:
    write(tmp_path, {"pipeline_wrapper.py": "raise KeyboardInterrupt"})
    before = packages_of("weather")
    with pytest.raises(KeyboardInterrupt):
        load_module(tmp_path, "pipeline_wrapper", name="weather")
    assert packages_of("weather") <= before


def test_the_wrapper_class_is_found() -> None:
    class PipelineWrapper(BasePipelineWrapper):
        def setup(self) -> None: ...

    module = ModuleType("x.pipeline_wrapper")
    vars(module)["PipelineWrapper"] = PipelineWrapper
    assert find_wrapper_class(module) is PipelineWrapper


def test_a_module_without_a_wrapper_class_is_refused() -> None:
    with pytest.raises(DeployRefused) as raised:
        find_wrapper_class(ModuleType("_hayserve_1_x.pipeline_wrapper"))
    assert raised.value.message == "'pipeline_wrapper.py' defines no class 'PipelineWrapper'."
    assert "class PipelineWrapper(BasePipelineWrapper)" in raised.value.hint


@pytest.mark.parametrize("found", [object, object(), "text"])
def test_a_class_of_another_kind_is_refused(found: object) -> None:
    module = ModuleType("x.pipeline_wrapper")
    vars(module)["PipelineWrapper"] = found
    with pytest.raises(DeployRefused, match="is not a subclass of 'BasePipelineWrapper'"):
        find_wrapper_class(module)
