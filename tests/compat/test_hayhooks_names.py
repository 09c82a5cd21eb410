"""The table of Hayhooks' names is complete, and each of them exists."""

from importlib import import_module

import pytest

from hayserve.compat.hayhooks_names import HOMES, SETTINGS, explain_missing
from hayserve.settings import Settings

# `__all__` of Hayhooks 2.1, but for the three names of durable runs.
PUBLIC = {
    "AsyncPipeline",
    "BasePipelineWrapper",
    "Pipeline",
    "PipelineEvent",
    "SSEStream",
    "YAMLPipelineWrapper",
    "async_streaming_generator",
    "chat_messages_from_openai_response",
    "coerce_pipeline_inputs",
    "create_app",
    "default_on_pipeline_end",
    "default_on_tool_call_end",
    "default_on_tool_call_start",
    "get_input_files",
    "get_last_user_input_text",
    "get_last_user_message",
    "is_user_message",
    "log",
    "run_app",
    "streaming_generator",
}
ALL_NAMES = [(module, name) for module, names in HOMES.items() for name in names]


def test_the_public_names_of_hayhooks_are_all_there() -> None:
    assert set(HOMES["hayhooks"]) == PUBLIC


@pytest.mark.parametrize(("module", "name"), ALL_NAMES)
def test_each_name_has_a_home(module: str, name: str) -> None:
    assert hasattr(import_module(HOMES[module][name]), name)


def test_every_module_lies_in_another_one() -> None:
    assert all(name.rpartition(".")[0] in HOMES for name in HOMES if name != "hayhooks")


def test_the_settings_exist() -> None:
    assert set(Settings.model_fields) >= SETTINGS


@pytest.mark.parametrize(
    "name", ["hayhooks.DurableContext", "hayhooks.durable", "hayhooks.durable.context"]
)
def test_durable_runs_are_named_as_what_is_missing(name: str) -> None:
    assert explain_missing(name) == (
        f"{name!r} is not here: this version of hayserve serves no durable runs."
    )
