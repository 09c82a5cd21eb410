"""Items are kept in one form, whatever short form a client has sent."""

from typing import Any

import pytest

from hayserve.protocols.openai_responses.kept_items import kept_items, kept_response

TEXT = {"type": "input_text", "text": "Hi"}
SAID: dict[str, Any] = {"type": "output_text", "text": "Hi", "annotations": [], "logprobs": []}


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (
            {"role": "user", "content": "Hi"},
            {"type": "message", "role": "user", "status": "completed", "content": [TEXT]},
        ),
        (
            {"type": "message", "content": "Hi"},
            {"type": "message", "role": "user", "status": "completed", "content": [TEXT]},
        ),
        (
            {"role": "assistant", "content": "Hi"},
            {"type": "message", "role": "assistant", "status": "completed", "content": [SAID]},
        ),
        (
            {"role": "user", "content": [TEXT]},
            {"type": "message", "role": "user", "status": "completed", "content": [TEXT]},
        ),
        (
            {"role": "user"},
            {"type": "message", "role": "user", "status": "completed", "content": []},
        ),
        (
            {"type": "function_call", "name": "f"},
            {"type": "function_call", "name": "f", "status": "completed"},
        ),
        (
            {"type": "function_call_output", "output": "1", "status": "incomplete"},
            {"type": "function_call_output", "output": "1", "status": "incomplete"},
        ),
        (
            {"role": "assistant", "content": [SAID], "status": "incomplete"},
            {
                "type": "message",
                "role": "assistant",
                "status": "incomplete",
                "content": [SAID],
            },
        ),
        (
            {"type": "reasoning", "summary": [float("nan")]},
            {"type": "reasoning", "summary": [None]},
        ),
        ({"type": "reasoning", "summary": []}, {"type": "reasoning", "summary": []}),
        ({"type": "other"}, {"type": "other"}),
    ],
)
def test_an_item_is_kept_whole(sent: dict[str, Any], kept: dict[str, Any]) -> None:
    (found,) = kept_items([sent], run_id="a" * 24)
    assert {name: value for name, value in found.items() if name != "id"} == kept


def test_each_item_has_an_id_that_says_its_kind() -> None:
    kinds = ("message", "function_call", "function_call_output", "reasoning", "other")
    found = kept_items([{"type": kind} for kind in kinds], run_id="a" * 24)
    assert [item["id"] for item in found] == [
        f"{prefix}_{'a' * 24}f000000{index}"
        for index, prefix in enumerate(("msg", "fc", "fco", "rs", "item"))
    ]


def test_an_id_that_was_sent_stays() -> None:
    (found,) = kept_items([{"type": "message", "id": "msg_mine"}], run_id="a" * 24)
    assert found["id"] == "msg_mine"


@pytest.mark.parametrize("id_", [5, "", "a" * 65, "a\0", "ä", ["a"], None])
def test_an_id_that_cannot_be_kept_is_replaced(id_: object) -> None:
    (found,) = kept_items([{"type": "message", "id": id_}], run_id="a" * 24)
    assert found["id"] == f"msg_{'a' * 24}f0000000"


@pytest.mark.parametrize(
    ("output", "kept"),
    [
        ([{"type": "message"}, 5, None], [{"type": "message"}]),
        ("text", []),
        (None, []),
    ],
)
def test_a_response_is_kept_whatever_a_wrapper_has_put_into_it(output: Any, kept: Any) -> None:
    found = kept_response({"id": "r", "output": output, "odd": {1, 2}})
    assert found == {"id": "r", "output": kept, "odd": "{1, 2}"}


def test_a_response_without_output_has_none() -> None:
    assert kept_response({"id": "r"}) == {"id": "r", "output": []}
