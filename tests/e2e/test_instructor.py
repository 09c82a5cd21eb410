"""instructor, unmodified, gets answers that have a form."""

from typing import Any

import instructor
import pytest
from openai import OpenAI
from pydantic import BaseModel

from e2e.five_turns import TURNS

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]


class Answer(BaseModel):
    """What `structured` answers: how often something was said, and what."""

    turn: int
    said: str


EXPECTED = [{"turn": turn, "said": text} for turn, text in enumerate(TURNS, start=1)]
modes = pytest.mark.parametrize("mode", [instructor.Mode.TOOLS, instructor.Mode.JSON_SCHEMA])


@modes
def test_instructor_gets_answers_in_a_form(client: OpenAI, mode: instructor.Mode) -> None:
    asked: Any = instructor.from_openai(client, mode=mode)
    answers, messages = list[Answer](), list[dict[str, str]]()
    for text in TURNS:
        messages.append({"role": "user", "content": text})
        answers.append(
            asked.chat.completions.create(
                model="structured", messages=messages, response_model=Answer, max_retries=1
            )
        )
        messages.append({"role": "assistant", "content": answers[-1].model_dump_json()})
    assert [answer.model_dump() for answer in answers] == EXPECTED


@modes
def test_instructor_gets_them_piece_by_piece(client: OpenAI, mode: instructor.Mode) -> None:
    asked: Any = instructor.from_openai(client, mode=mode)
    messages = [{"role": "user", "content": TURNS[0]}]
    *_, last = asked.chat.completions.create_partial(
        model="structured", messages=messages, response_model=Answer, max_retries=1
    )
    assert last.model_dump() == EXPECTED[0]


def test_instructor_gets_them_over_responses(client: OpenAI) -> None:
    asked: Any = instructor.from_openai(client, mode=instructor.Mode.RESPONSES_TOOLS)
    answer = asked.responses.create(
        model="structured", input=TURNS[0], response_model=Answer, max_retries=1
    )
    assert answer.model_dump() == EXPECTED[0]
