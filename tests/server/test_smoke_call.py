"""A deployment that was just loaded is asked one question, as a client would ask it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, StreamingResponse

from hayserve import BasePipelineWrapper
from hayserve.deployments.load import load
from hayserve.deployments.target import Target
from hayserve.errors import DeployRefused, InvalidRequest
from hayserve.runs.execute import Executor
from hayserve.server.smoke_call import answer_of

pytestmark = pytest.mark.anyio


class Wrapper(BasePipelineWrapper):
    def setup(self) -> None: ...


class Chatting(Wrapper):
    """Answers with `said`."""

    def __init__(self, said: Any) -> None:
        super().__init__()
        self.said = said

    def run_chat_completion(
        self, model: str, messages: list[dict[str, Any]], body: dict[str, Any]
    ) -> Any:
        assert (model, messages) == ("x", [{"role": "user", "content": "Who?"}])
        return self.said


class Running(Wrapper):
    """Answers with `said`."""

    def __init__(self, said: Any) -> None:
        super().__init__()
        self.said = said

    def run_api(self, question: str, top_k: int = 3) -> Any:
        assert (question, top_k) == ("Who?", 3)
        return self.said


class Nosy(Wrapper):
    def run_api(self, question: str, headers: Headers | None = None) -> str:
        assert headers is not None
        return f"{question} {len(headers)}"


class Optional(Wrapper):
    def run_api(self, question: str = "") -> str:
        return question.upper()


class Number(Wrapper):
    def run_api(self, number: int) -> int:
        return number + 1


class Two(Wrapper):
    def run_api(self, first: str, second: str) -> str:
        return first + second


class Upload(Wrapper):
    def run_api(self, files: Any) -> str:
        return ""

    run_api.__annotations__.pop("files")


class Responding(Wrapper):
    def run_response(self, model: str, input_items: list[Any], body: dict[str, Any]) -> str:
        return ""


class Failing(Wrapper):
    def run_api(self, question: str) -> str:
        raise InvalidRequest("Not so.", hint="But so.")


async def asked(wrapper: BasePipelineWrapper, question: str = "Who?") -> str:
    deployment = await load(Target("x", "thing", Path(), thing=wrapper))
    return await answer_of(deployment, question, executor=Executor())


def pieces() -> Iterator[str]:
    yield "I "
    yield "am."


class Completion(BaseModel):
    """As a client of OpenAI's has it."""

    object: str = "chat.completion"
    choices: list[dict[str, Any]] = []


def completion(message: object) -> Completion:
    return Completion(choices=[{"message": message}])


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ("I am.", "I am."),
        (pieces, "I am."),
        (completion({"content": "I am."}), "I am."),
        (completion({"tool_calls": [{"id": "1"}]}), '[{"id": "1"}]'),
        ("long" * 1000, "long" * 500),
    ],
)
async def test_one_that_can_chat_is_asked_with_a_message(said: Any, answer: str) -> None:
    assert await asked(Chatting(said() if callable(said) else said)) == answer


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ("I am.", "I am."),
        ({"name": "Ä"}, '{"name": "Ä"}'),
        (pieces, "I am."),
        (lambda: StreamingResponse(pieces()), "I am."),
        (lambda: PlainTextResponse("I am."), "I am."),
    ],
)
async def test_another_one_is_asked_with_its_parameter(said: Any, answer: str) -> None:
    assert await asked(Running(said() if callable(said) else said)) == answer


async def test_a_parameter_that_is_the_only_one_need_not_be_required() -> None:
    assert await asked(Optional()) == "WHO?"


async def test_one_that_wants_the_headers_of_a_request_gets_none() -> None:
    assert await asked(Nosy()) == "Who? 0"


async def test_a_question_becomes_what_the_parameter_is() -> None:
    assert await asked(Number(), "41") == "42"
    with pytest.raises(DeployRefused, match="'x' cannot be checked with 'Who'") as refusal:
        await asked(Number(), "Who")
    assert refusal.value.param == "body.number"


@pytest.mark.parametrize("wrapper", [Two(), Upload(), Responding()])
async def test_what_takes_no_question_is_not_asked(wrapper: Wrapper) -> None:
    with pytest.raises(DeployRefused, match="'x' cannot be checked with a question"):
        await asked(wrapper)


@pytest.mark.parametrize(
    ("wrapper", "why"),
    [
        (Chatting(""), "'x' answered nothing"),
        (Chatting(completion(None)), "'x' answered nothing"),
        (Chatting(Completion()), "'x' answered nothing"),
        (Chatting(7), "it returned 'int'"),
        (Running(None), "'x' answered nothing"),
        (Running(PlainTextResponse("Gone", 410)), "'x' answered 410: Gone"),
        (Failing(), "Not so"),
    ],
)
async def test_a_call_without_an_answer_is_a_refusal(wrapper: Wrapper, why: str) -> None:
    with pytest.raises(DeployRefused, match=rf"^The check 'Who\?' failed: .*{why}"):
        await asked(wrapper)
