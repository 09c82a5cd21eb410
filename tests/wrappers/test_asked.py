"""What a caller asks beside the arguments."""

from hayserve.wrappers.asked import Asked

TOOL = {"type": "function", "function": {"name": "f"}}


def test_a_model_is_told_which_tool_to_call_where_it_has_to() -> None:
    asked = Asked("k", (TOOL,), "required", {"temperature": 0})

    assert asked.options == {"temperature": 0, "tool_choice": "required"}


def test_a_model_is_told_nothing_where_it_may_choose() -> None:
    assert Asked("k", (TOOL,), "auto", {"seed": 1}).options == {"seed": 1}
    assert Asked("k").options == {}


def test_nothing_is_kept_for_who_does_not_come_back() -> None:
    assert Asked("k").keep({"calls": []}) is None
