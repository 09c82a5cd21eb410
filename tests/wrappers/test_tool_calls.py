"""How the pieces of tool calls become tool calls."""

import pytest
from haystack.dataclasses import (
    ComponentInfo,
    StreamingChunk,
    ToolCall,
    ToolCallDelta,
    ToolCallResult,
)

from hayserve.wrappers.tool_calls import (
    AssembledCall,
    ToolCallAssembler,
    is_agents_own,
    owned_by_agent,
    source_of,
    whole_calls,
)

CALL = ToolCall("add", {"a": 1}, id="c1")
RESULT = ToolCallResult("3", CALL, error=False)


def assembled(*deltas: ToolCallDelta) -> list[AssembledCall]:
    assembler = ToolCallAssembler()
    for delta in deltas:
        assembler.add([delta])
    return assembler.complete()


def test_the_name_comes_first_and_the_arguments_in_pieces() -> None:
    assert assembled(
        ToolCallDelta(0, tool_name="add", id="c1"),
        ToolCallDelta(0, arguments='{"a"'),
        ToolCallDelta(0, arguments=": 1}"),
    ) == [AssembledCall("c1", "add", {"a": 1})]


def test_parallel_calls_may_be_interleaved() -> None:
    assert assembled(
        ToolCallDelta(0, tool_name="add", id="c1"),
        ToolCallDelta(1, tool_name="sub", id="c2"),
        ToolCallDelta(1, arguments='{"b": 2}'),
        ToolCallDelta(0, arguments='{"a": 1}'),
    ) == [AssembledCall("c1", "add", {"a": 1}), AssembledCall("c2", "sub", {"b": 2})]


def test_whole_calls_with_one_index_are_several_calls() -> None:
    assert assembled(
        ToolCallDelta(0, tool_name="add", arguments='{"a": 1}', id="c1"),
        ToolCallDelta(0, tool_name="add", arguments='{"a": 2}', id="c2"),
    ) == [AssembledCall("c1", "add", {"a": 1}), AssembledCall("c2", "add", {"a": 2})]


def test_whole_calls_without_ids_are_several_calls() -> None:
    assert assembled(
        ToolCallDelta(0, tool_name="add", arguments='{"a": 1}'),
        ToolCallDelta(0, tool_name="add", arguments='{"a": 2}'),
        ToolCallDelta(0, tool_name="sub", arguments="{}"),
    ) == [
        AssembledCall("", "add", {"a": 1}),
        AssembledCall("", "add", {"a": 2}),
        AssembledCall("", "sub", {}),
    ]


@pytest.mark.parametrize("id_", [None, "c1"])
def test_the_name_may_be_repeated_in_each_piece(id_: str | None) -> None:
    assert assembled(
        ToolCallDelta(0, tool_name="add", id=id_),
        ToolCallDelta(0, tool_name="add", arguments='{"a"', id=id_),
        ToolCallDelta(0, tool_name="add", arguments=": 1}", id=id_),
    ) == [AssembledCall(id_ or "", "add", {"a": 1})]


def test_the_id_may_come_after_the_name() -> None:
    assert assembled(
        ToolCallDelta(0, tool_name="add"), ToolCallDelta(0, arguments="{}", id="c1")
    ) == [AssembledCall("c1", "add", {})]


def test_another_name_begins_another_call() -> None:
    assert assembled(ToolCallDelta(0, tool_name="add"), ToolCallDelta(0, tool_name="sub")) == [
        AssembledCall("", "add", {}),
        AssembledCall("", "sub", {}),
    ]


def test_a_piece_of_no_call_is_ignored() -> None:
    assert assembled(ToolCallDelta(0, arguments='{"a": 1}')) == []


@pytest.mark.parametrize(
    ("text", "arguments"), [("{", {"": "{"}), ("[1]", {"": [1]}), ("", {}), ("null", {"": None})]
)
def test_arguments_that_are_no_object_are_kept(text: str, arguments: dict[str, object]) -> None:
    assert assembled(ToolCallDelta(0, tool_name="add"), ToolCallDelta(0, arguments=text)) == [
        AssembledCall("", "add", arguments)
    ]


def test_calls_are_given_once() -> None:
    assembler = ToolCallAssembler()
    assembler.add([ToolCallDelta(0, tool_name="add", id="c1")])
    assert len(assembler.complete()) == 1
    assert assembler.complete() == []


def test_models_that_speak_at_once_are_told_apart() -> None:
    assembler = ToolCallAssembler()
    assembler.add([ToolCallDelta(0, tool_name="add", id="a1")], source="a")
    assembler.add([ToolCallDelta(0, tool_name="sub", id="b1")], source="b")
    assembler.add([ToolCallDelta(0, tool_name="sub", id="b2")], source="b")
    assembler.add([ToolCallDelta(0, arguments='{"x": 1}')], source="a")
    assert assembler.complete(source="a") == [AssembledCall("a1", "add", {"x": 1})]
    assembler.add([ToolCallDelta(0, tool_name="add", id="a2")], source="a")
    assert [call.id for call in assembler.complete(source="b")] == ["b1", "b2"]
    assert [call.id for call in assembler.complete()] == ["a2"]


def test_a_chunk_says_whose_it_is() -> None:
    info = ComponentInfo(type="x.Model", name="llm")
    plain = StreamingChunk("", meta={"model": "m"}, component_info=info)
    own = owned_by_agent(plain, "helper")
    assert is_agents_own(own)
    assert not is_agents_own(plain)
    assert own.meta["model"] == "m"
    assert plain.meta == {"model": "m"}
    assert source_of(own) == "helper"
    assert source_of(plain) == "llm"
    assert source_of(StreamingChunk("", component_info=ComponentInfo(type="x.Model"))) == ""
    assert source_of(StreamingChunk("")) == ""


def test_a_result_gives_the_call_that_no_model_has_said() -> None:
    assembler = ToolCallAssembler()
    assert assembler.end(RESULT) == [AssembledCall("c1", "add", {"a": 1})]
    assert assembler.end(RESULT) == [AssembledCall("c1", "add", {"a": 1})]


def test_a_result_ends_the_call_that_was_given() -> None:
    assembler = ToolCallAssembler()
    assembler.add(whole_calls([CALL]).tool_calls or [])
    assert len(assembler.complete()) == 1
    assert assembler.end(RESULT) == []


def test_a_result_of_somebody_else_ends_a_call_too() -> None:
    assembler = ToolCallAssembler()
    other = ToolCall("sub", {}, id="c2")
    assembler.add(whole_calls([CALL, other]).tool_calls or [], source="model")
    assert assembler.complete(source="tools") == []
    assert assembler.end(RESULT) == [AssembledCall("c1", "add", {"a": 1})]
    assert assembler.complete() == [AssembledCall("c2", "sub", {})]
