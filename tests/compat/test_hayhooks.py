"""`import hayhooks` means hayserve, whatever else is installed."""

# pyright: reportMissingImports=false, reportUnknownVariableType=false
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false

import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from loguru import logger

import hayserve
from hayserve.compat.hayhooks import HayhooksNames, install_hayhooks_names
from hayserve.compat.tracing import trace_operation
from hayserve.wrappers import client_events, default_callbacks, messages, open_webui, streaming

pytestmark = pytest.mark.usefixtures("hayhooks_names")


def run(code: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(code, names)
    return names


def test_the_package_has_hayserves_names() -> None:
    found = run("from hayhooks import BasePipelineWrapper, log, streaming_generator")

    assert found["BasePipelineWrapper"] is hayserve.BasePipelineWrapper
    assert found["log"] is logger
    assert found["streaming_generator"] is streaming.streaming_generator


@pytest.mark.parametrize(
    ("module", "name", "value"),
    [
        ("callbacks", "default_on_pipeline_end", default_callbacks.default_on_pipeline_end),
        ("events", "create_status_event", client_events.create_status_event),
        ("open_webui", "create_details_tag", open_webui.create_details_tag),
        ("server.logger", "log", logger),
        ("server.pipelines.sse", "SSEStream", hayserve.SSEStream),
        ("server.pipelines.streaming", "OnToolCallStart", client_events.OnToolCallStart),
        ("server.pipelines.utils", "OnPipelineEnd", client_events.OnPipelineEnd),
        ("server.pipelines.utils", "get_content", messages.get_content),
        ("server.tracing", "trace_operation", trace_operation),
        (
            "server.utils.base_pipeline_wrapper",
            "BasePipelineWrapper",
            hayserve.BasePipelineWrapper,
        ),
        ("server.utils.haystack_compat", "AsyncPipeline", hayserve.Pipeline),
    ],
)
def test_the_modules_that_wrappers_import_from_have_them_too(
    module: str, name: str, value: object
) -> None:
    assert getattr(import_module(f"hayhooks.{module}"), name) is value


def test_a_star_import_brings_all_names() -> None:
    found = run("from hayhooks.open_webui import *")

    assert set(open_webui.__all__) <= set(found)


def test_a_module_lists_its_names() -> None:
    assert {"PipelineEvent", "__name__"} <= set(dir(import_module("hayhooks.chainlit_events")))


def test_modules_below_can_be_reached_without_importing_them() -> None:
    found = run("import hayhooks\nfound = hayhooks.server.pipelines.utils.is_user_message")

    assert found["found"] is messages.is_user_message


def test_what_looks_for_the_package_finds_it() -> None:
    spec = find_spec("hayhooks")

    assert spec is not None
    assert not hasattr(import_module("hayhooks"), "__version__")


@pytest.mark.parametrize(
    "code",
    [
        "from hayhooks import DurableContext",
        "from hayhooks import current_durable_context",
        "import hayhooks.durable",
        "from hayhooks.durable.context import DurableContext",
    ],
)
def test_durable_runs_are_refused_in_so_many_words(code: str) -> None:
    with pytest.raises(ImportError, match="this version of hayserve serves no durable runs"):
        run(code)


@pytest.mark.parametrize(
    "code",
    [
        "import hayhooks.cli.base",
        "from hayhooks.server.pipelines.registry import registry",
        "from hayhooks.server.pipelines import registry",
        "from hayhooks import nothing",
    ],
)
def test_what_is_not_here_says_where_to_look(code: str) -> None:
    with pytest.raises(ModuleNotFoundError, match=r"docs/compatibility\.md"):
        run(code)


def test_asking_for_a_missing_name_raises_what_getattr_expects() -> None:
    package = import_module("hayhooks")

    assert getattr(package, "DurableContext", None) is None
    with pytest.raises(AttributeError, match="durable runs"):
        _ = package.DurableContext


def test_an_installed_hayhooks_is_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "hayhooks"
    folder.mkdir()
    (folder / "__init__.py").write_text("raise RuntimeError('the real one')")
    (folder / "extra.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)

    assert run("from hayhooks import log")["log"] is logger
    with pytest.raises(ModuleNotFoundError):
        run("import hayhooks.extra")


def test_a_hayhooks_that_was_imported_before_is_set_aside() -> None:
    for name in ("hayhooks", "hayhooks.server", "hayhooks.server.logger"):
        sys.modules[name] = ModuleType(name)

    install_hayhooks_names()

    assert run("from hayhooks.server.logger import log")["log"] is logger


def test_installing_again_changes_nothing() -> None:
    before = import_module("hayhooks.events")

    install_hayhooks_names()

    assert import_module("hayhooks.events") is before
    assert [type(finder) for finder in sys.meta_path].count(HayhooksNames) == 1


def test_other_modules_are_found_as_before() -> None:
    names = next(each for each in sys.meta_path if isinstance(each, HayhooksNames))

    assert names.find_spec("hayhooks_extras", None) is None


def test_wrappers_can_read_the_servers_settings() -> None:
    settings = import_module("hayhooks.settings").settings

    install_hayhooks_names({"port": 1416, "pipelines_dir": Path("pipelines"), "key": "hidden"})
    install_hayhooks_names()

    assert (settings.port, settings.pipelines_dir) == (1416, "pipelines")
    assert dir(settings) == ["pipelines_dir", "port"]


@pytest.mark.parametrize("name", ["key", "mcp_port"])
def test_a_setting_that_hayhooks_or_hayserve_has_not_is_not_there(name: str) -> None:
    settings = import_module("hayhooks.settings").settings

    with pytest.raises(AttributeError, match=name):
        getattr(settings, name)


def test_wrappers_cannot_change_a_setting() -> None:
    settings = import_module("hayhooks.settings").settings

    with pytest.raises(AttributeError, match="cannot change the server's setting 'port'"):
        settings.port = 1
