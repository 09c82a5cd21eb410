"""`hayserve init` writes an agent that runs as it is."""

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

from cli.outcome import Typed
from hayserve.wrappers.base import BasePipelineWrapper


def test_the_next_commands_are_told(typed: Typed, tmp_path: Path) -> None:
    told = typed("init", "my_agent", "--dir", "work")
    assert told.code == 0
    assert (tmp_path / "work" / "my_agent" / "pipeline_wrapper.py").is_file()
    assert "  hayserve run work/my_agent\n" in told.out
    assert "  hayserve call my_agent --chat " in told.out


def test_nothing_is_overwritten(typed: Typed, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "pipeline_wrapper.py").write_text("precious")
    told = typed("init", "mine")
    assert told.code == 1
    assert "exists already" in told.err
    assert (tmp_path / "mine" / "pipeline_wrapper.py").read_text() == "precious"


def test_what_is_told_can_be_typed(typed: Typed) -> None:
    told = typed("init", "größe", "--dir", "my work")
    assert "  hayserve run 'my work/größe'\n" in told.out
    assert "  hayserve call 'größe' --chat " in told.out


@pytest.mark.parametrize("name", ["a/b", "..", ".hidden", "", "my agent"])
def test_a_name_that_cannot_be_served_is_a_usage_error(typed: Typed, name: str) -> None:
    assert typed("init", name).code == 2


@pytest.fixture
def wrapper(typed: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BasePipelineWrapper:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    typed("init", "agent")
    spec = spec_from_file_location("agent", tmp_path / "agent" / "pipeline_wrapper.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    wrapper: BasePipelineWrapper = module.PipelineWrapper()
    wrapper.setup()
    return wrapper


ANSWER = "Words in your message: 3. (Set OPENAI_API_KEY to talk to a real model.)"


def test_the_agent_answers_over_rest(wrapper: BasePipelineWrapper) -> None:
    assert wrapper.run_api(question="one two three") == ANSWER


def test_the_agent_streams_its_answer(wrapper: BasePipelineWrapper) -> None:
    said: list[dict[str, Any]] = [{"role": "user", "content": "one two three"}]
    chunks = wrapper.run_chat_completion("agent", said, {})
    assert "".join(chunk.content for chunk in chunks) == ANSWER
