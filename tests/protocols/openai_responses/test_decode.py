"""What a request for a response asks of which method."""

import json
from typing import Any

import pytest

from hayserve.deployments.deployment import Deployment
from hayserve.errors import InvalidInput, InvalidRequest, NotCapable
from hayserve.protocols.openai_responses.decode import (
    agent_body,
    decode,
    input_items,
    response_call,
)
from hayserve.wrappers.base import BasePipelineWrapper
from hayserve.wrappers.capabilities import Method, capabilities_of


class Responds(BasePipelineWrapper):
    def setup(self) -> None:
        return

    def run_response(
        self, model: str, input_items: list[dict[str, Any]], body: dict[str, Any]
    ) -> str:
        return model


class Chats(BasePipelineWrapper):
    def setup(self) -> None:
        return

    def run_chat_completion(
        self, model: str, messages: list[dict[str, Any]], body: dict[str, Any]
    ) -> str:
        return model


class Computes(BasePipelineWrapper):
    def setup(self) -> None:
        return

    def run_api(self, number: int) -> int:
        return number


def asked(**body: Any) -> bytes:
    return json.dumps({"model": "echo", **body}).encode()


def call_of(wrapper: BasePipelineWrapper, **body: Any) -> tuple[Method, dict[str, Any]]:
    deployment = Deployment("echo", wrapper, capabilities_of(wrapper, name="echo"))
    request = decode(asked(**body))
    return response_call(request, deployment, input_items(request))


def test_a_plain_text_is_one_user_message() -> None:
    method, arguments = call_of(Responds(), input="Hi")

    assert method.name == "run_response"
    assert arguments["model"] == "echo"
    assert arguments["input_items"] == [{"type": "message", "role": "user", "content": "Hi"}]


def test_items_are_handed_over_as_they_were_sent() -> None:
    items = [{"role": "user", "content": [{"type": "input_text", "text": "Hi"}]}, {"odd": 1}]

    _, arguments = call_of(Responds(), input=items)
    assert arguments["input_items"] == items


def test_a_request_without_input_has_no_items() -> None:
    _, arguments = call_of(Responds())
    assert arguments["input_items"] == []


def test_the_body_has_every_known_field_and_all_others_that_were_sent() -> None:
    _, arguments = call_of(Responds(), input="Hi", temperature=0.5, seed=7)

    assert arguments["body"] == {
        "model": "echo",
        "input": "Hi",
        "instructions": None,
        "stream": False,
        "tools": None,
        "tool_choice": None,
        "top_p": None,
        "top_logprobs": None,
        "temperature": 0.5,
        "max_output_tokens": None,
        "previous_response_id": None,
        "conversation": None,
        "background": None,
        "parallel_tool_calls": None,
        "stream_options": None,
        "text": None,
        "reasoning": None,
        "store": None,
        "service_tier": None,
        "metadata": None,
        "seed": 7,
    }


def test_a_wrapper_that_only_chats_answers_through_its_chat_method() -> None:
    method, arguments = call_of(Chats(), input="Hi", instructions="Be kind.", max_output_tokens=9)

    messages = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Hi"},
    ]
    assert method.name == "run_chat_completion"
    assert arguments["messages"] == messages
    assert arguments["body"] == {
        "model": "echo",
        "messages": messages,
        "stream": False,
        "max_completion_tokens": 9,
    }


def test_a_deployment_that_neither_responds_nor_chats_says_so() -> None:
    with pytest.raises(NotCapable, match="'echo'") as caught:
        call_of(Computes(), input="Hi")

    assert caught.value.param == "model"


def test_a_body_that_is_not_json_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="not a JSON object"):
        decode(b"{")


def test_all_wrong_fields_are_named() -> None:
    with pytest.raises(InvalidInput) as caught:
        decode(b'{"stream": "perhaps"}')

    assert [problem.loc for problem in caught.value.problems] == [("model",), ("stream",)]
    assert "'model': Field required" in caught.value.message


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"background": True, "store": False}, "background"),
        ({"conversation": {"id": "conv_1"}, "store": False}, "store"),
        ({"conversation": "conv_1", "previous_response_id": "resp_1"}, "previous_response_id"),
    ],
)
def test_what_contradicts_itself_is_refused_by_name(body: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        decode(asked(**body))

    assert caught.value.param == param


def test_what_is_asked_of_an_agent_is_read_as_in_a_chat() -> None:
    function: dict[str, Any] = {"type": "function", "name": "f", "parameters": {}}
    body = agent_body(
        decode(asked(tools=[function, {"type": "custom"}], max_output_tokens=9, input="Hi"))
    )

    assert body["tools"] == [{"type": "function", "function": {"name": "f", "parameters": {}}}]
    assert body["max_completion_tokens"] == 9


def test_fields_that_ask_for_nothing_are_accepted() -> None:
    decode(asked(previous_response_id=None, conversation=None, background=False, store=True))


def test_null_asks_for_no_stream() -> None:
    assert decode(asked(stream=None)).stream is False
