"""Each deployment's imports are its own."""

import importlib
import importlib.util
import json
import pkgutil
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType

import pytest

from hayserve.deployments.imports import PrivateImports
from hayserve.deployments.loader import LoadedCode, load_module
from hayserve.errors import DeployRefused

Load = Callable[[str, Mapping[str, str]], ModuleType]


def write(folder: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.fixture
def load(tmp_path: Path) -> Iterator[Load]:
    loaded: list[LoadedCode] = []

    def load(name: str, files: Mapping[str, str]) -> ModuleType:
        code = load_module(write(tmp_path / name, files), "pipeline_wrapper", name=name)
        loaded.append(code)
        return code.module

    path = list(sys.path)
    yield load
    for code in loaded:
        code.unload()
    assert sys.path == path


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder whose modules count as installed."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    before = set(sys.modules)
    yield folder
    for name in set(sys.modules) - before:
        if str(folder) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


HACK = (
    "import sys\nfrom pathlib import Path\nsys.path.insert(0, str(Path(__file__).parent{more}))\n"
)


@pytest.mark.parametrize(
    "statement",
    [
        "from .helper import word",
        "from helper import word",
        "import helper; word = helper.word",
        "import helper as h; word = h.word",
        "from weather.helper import word",
        "from weather import helper; word = helper.word",
        "import weather.helper; word = weather.helper.word",
        "import weather, helper; word = weather.helper.word",
        "import tools.deep; word = tools.deep.word",
        "import tools.deep as d; word = d.word",
        "from tools import deep; word = deep.word",
        "from tools.deep import *",
        "from tools.inner import word",
        "from tools.inner import again as word",
        "from tools import top as word",
        "word = __import__('helper').word",
        "word = __import__('tools.deep', fromlist=['word']).word",
        "from importlib import import_module; word = import_module('.helper', __package__).word",
        "from loose.thing import word",
        "import loose; from loose import thing; word = thing.word",
        "from src.lib import word",
        HACK.format(more="") + "from helper import word",
        HACK.format(more=" / 'src'") + "from lib import word",
        HACK.format(more=" / 'src'") + "import lib; word = lib.word",
    ],
)
def test_own_files_are_imported_by_any_of_their_names(load: Load, statement: str) -> None:
    files = {
        "helper.py": "word = 'mine'",
        "tools/__init__.py": "top = 'mine'",
        "tools/deep.py": "word = 'mine'",
        "tools/inner.py": "from tools.deep import word\nfrom tools import top as again",
        "loose/thing.py": "word = 'mine'",
        "src/lib.py": "word = 'mine'",
    }
    module = load("weather", {**files, "pipeline_wrapper.py": statement})
    assert module.word == "mine"
    assert not {"helper", "tools", "loose", "lib", "weather", "src"} & set(sys.modules)


def test_two_deployments_with_the_same_helper_have_each_their_own(load: Load) -> None:
    wrapper = (
        HACK.format(more="")
        + "from helper import word\ndef lazy():\n import late\n return late.word"
    )
    one = load(
        "one", {"helper.py": "word = 1", "late.py": "word = 11", "pipeline_wrapper.py": wrapper}
    )
    two = load(
        "two", {"helper.py": "word = 2", "late.py": "word = 22", "pipeline_wrapper.py": wrapper}
    )
    assert (one.word, two.word) == (1, 2)
    assert (one.lazy(), two.lazy()) == (11, 22)


@pytest.mark.parametrize("name", ["json", "asyncio", "haystack", "logging", "status"])
def test_a_deployment_may_have_the_name_of_any_module(load: Load, name: str) -> None:
    module = load(
        name,
        {
            "helper.py": "word = 'mine'",
            "pipeline_wrapper.py": "import json, asyncio, logging, haystack\n"
            "from haystack import Pipeline\nfrom .helper import word\n"
            "from haystack.dataclasses import ChatMessage",
        },
    )
    assert module.word == "mine"
    assert module.json is json
    assert importlib.import_module(name) if name != "status" else "status" not in sys.modules
    assert module.haystack is sys.modules["haystack"]


def test_a_file_with_the_name_of_a_standard_module_hides_it_from_nobody(load: Load) -> None:
    module = load(
        "a",
        {
            "json.py": "mine = True",
            "pipeline_wrapper.py": "import json\nfrom .json import mine",
        },
    )
    assert module.json is json
    assert module.mine


def test_a_file_that_imports_its_own_name_gets_the_installed_module(load: Load, site: Path) -> None:
    write(site, {"anyai.py": "Client = 'installed'"})
    module = load(
        "a",
        {
            "anyai.py": "from anyai import Client\nmine = True",
            "pipeline_wrapper.py": HACK.format(more="") + "from .anyai import Client, mine",
        },
    )
    assert (module.Client, module.mine) == ("installed", True)


def test_a_package_that_imports_its_own_name_gets_its_parts_or_the_installed_one(
    load: Load, site: Path
) -> None:
    write(site, {"anyai/__init__.py": "Client = 'installed'"})
    module = load(
        "a",
        {
            "anyai/__init__.py": "from anyai import Client",
            "anyai/part.py": "from anyai import other\nfrom anyai.other import word",
            "anyai/other.py": "word = 'mine'",
            "pipeline_wrapper.py": "from .anyai import Client\nfrom anyai.part import word",
        },
    )
    assert (module.Client, module.word) == ("installed", "mine")


def test_what_the_own_file_lacks_comes_from_the_installed_one(load: Load, site: Path) -> None:
    write(site, {"anyai.py": "Client = 'installed'"})
    module = load(
        "a",
        {
            "anyai.py": "mine = True",
            "pipeline_wrapper.py": "from anyai import Client\nfrom anyai import mine",
        },
    )
    assert (module.Client, module.mine) == ("installed", True)


def test_a_folder_of_data_does_not_hide_an_installed_package(load: Load, site: Path) -> None:
    write(site, {"datasets/__init__.py": "load = 'installed'"})
    module = load(
        "a",
        {
            "datasets/cities.csv": "Paris",
            "pipeline_wrapper.py": "import datasets\nfrom datasets import load",
        },
    )
    assert module.load == module.datasets.load == "installed"


def test_a_deployment_named_as_an_installed_package_still_gets_that_package(
    load: Load, site: Path
) -> None:
    write(site, {"spaces/inner/__init__.py": "word = 'installed'"})
    module = load(
        "spaces",
        {
            "__init__.py": "word = 'mine'",
            "pipeline_wrapper.py": "from spaces.inner import word as there\nfrom . import word",
        },
    )
    assert (module.there, module.word) == ("installed", "mine")


def test_the_package_of_a_deployment_is_imported_by_the_deployments_name(load: Load) -> None:
    module = load(
        "weather",
        {"__init__.py": "word = 'mine'", "pipeline_wrapper.py": "from weather import word"},
    )
    assert module.word == "mine"


def test_a_module_that_is_loaded_without_a_spec_counts_as_installed(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "handmade", ModuleType("handmade"))
    module = load("a", {"handmade/notes.txt": "", "pipeline_wrapper.py": "import handmade"})
    assert module.handmade is sys.modules["handmade"]


def test_an_operators_path_to_the_folder_is_not_mistaken_for_an_installed_module(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write(tmp_path / "a", {"loose/notes.txt": "", "pipeline_wrapper.py": "import loose"})
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    assert load("a", {}).loose.__name__.endswith("_a.loose")
    assert str(folder) in sys.path


def test_a_missing_part_of_an_own_module_is_told_by_its_own_name(load: Load) -> None:
    with pytest.raises(DeployRefused, match=r"No module named 'helper\.nothing'"):
        load("a", {"helper.py": "", "pipeline_wrapper.py": "import helper.nothing"})


def test_parts_of_a_deployment_are_listed_and_found_by_the_usual_means(load: Load) -> None:
    module = load(
        "a",
        {
            "tools/__init__.py": "",
            "tools/one.py": "word = 1",
            "tools/two.py": "word = 2",
            "tools/note.txt": "text",
            "pipeline_wrapper.py": "import importlib, pkgutil, sys\n"
            "from importlib.resources import files\n"
            + HACK.format(more=" / 'tools'")
            + "import tools\n"
            "words = [importlib.import_module(f'{tools.__name__}.{m.name}').word\n"
            "         for m in pkgutil.iter_modules(tools.__path__)]\n"
            "note = files(tools).joinpath('note.txt').read_text()",
        },
    )
    assert module.words == [1, 2]
    assert module.note == "text"


def test_a_folder_put_on_the_path_is_seen_by_nobody_else(load: Load) -> None:
    module = load(
        "a",
        {
            "secret_part.py": "",
            "pipeline_wrapper.py": HACK.format(more="")
            + "import importlib.util, importlib\n"
            + "importlib.invalidate_caches()\n"
            + "found = importlib.util.find_spec('secret_part')",
        },
    )
    assert module.found is None


def test_a_path_object_on_the_path_is_ignored(load: Load) -> None:
    load(
        "a",
        {
            "helper.py": "",
            "pipeline_wrapper.py": "import sys\nfrom pathlib import Path\n"
            "sys.path.insert(0, Path(__file__).parent)\nimport helper\nsys.path.pop(0)",
        },
    )


def test_no_bytecode_is_written(load: Load, tmp_path: Path) -> None:
    load("a", {"helper.py": "", "pipeline_wrapper.py": "import helper"})
    assert sorted(file.name for file in (tmp_path / "a").iterdir()) == [
        "helper.py",
        "pipeline_wrapper.py",
    ]


def test_bytecode_that_is_there_is_not_read(load: Load, tmp_path: Path) -> None:
    folder = write(tmp_path / "a", {"__pycache__/x": ""})
    for version in ("pipeline_wrapper.cpython-311.pyc", "helper.cpython-311.pyc"):
        (folder / "__pycache__" / version).write_bytes(b"not code")
    assert load("a", {"pipeline_wrapper.py": "word = 1"}).word == 1


def test_finding_is_set_up_once() -> None:
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(PrivateImports.installed) for _ in range(8)]
    finders = {future.result() for future in asked}
    assert len(finders) == 1
    assert sum(isinstance(finder, PrivateImports) for finder in sys.meta_path) == 1


def test_names_of_packages_that_are_gone_are_not_found() -> None:
    assert importlib.util.find_spec("_hayserve_0_nobody") is None
    PrivateImports.installed().remove("_hayserve_0_nobody")


def test_listing_all_modules_still_works(load: Load) -> None:
    load("a", {"pipeline_wrapper.py": ""})
    assert any(found.name == "json" for found in pkgutil.iter_modules())


def test_a_project_may_hold_its_own_environment_and_sources(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = tmp_path / ".venv" / "lib" / "python3.11" / "site-packages"
    for place, word in ((environment, "installed_in_project"), (tmp_path / "src", "editable_here")):
        place.mkdir(parents=True)
        (place / f"{word}.py").write_text(f"word = {word!r}\n")
        monkeypatch.setattr(sys, "path", [str(place), *sys.path])
    (tmp_path / "agents.py").write_text(
        "import editable_here, installed_in_project\n"
        "import haystack.dataclasses\n"
        "from installed_in_project import word\n"
    )
    code = load_module(tmp_path, "agents", name="agent")
    try:
        assert code.module.word == "installed_in_project"
        assert code.module.editable_here is sys.modules["editable_here"]
        assert code.module.installed_in_project is sys.modules["installed_in_project"]
    finally:
        code.unload()
        for word in ("editable_here", "installed_in_project"):
            sys.modules.pop(word, None)
