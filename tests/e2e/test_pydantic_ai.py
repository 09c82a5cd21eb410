"""pydantic-ai, unmodified, talks with tools and asks for answers that have a form."""

from typing import Any

import pytest
from openai import AsyncOpenAI
from pydantic import BaseModel
from pydantic_ai import Agent, NativeOutput, ToolOutput
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider

from e2e.five_turns import ANSWERS, CITIES, MODEL, TURNS, Weather

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120), pytest.mark.anyio]
kinds = pytest.mark.parametrize("kind", [OpenAIChatModel, OpenAIResponsesModel])
streams = pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])


class Answer(BaseModel):
    """What `structured` answers: how often something was said, and what."""

    turn: int
    said: str


def connected(server: str) -> AsyncOpenAI:
    return AsyncOpenAI(base_url=f"{server}/v1", api_key="none", max_retries=0)


@kinds
@streams
async def test_pydantic_ai_talks(server: str, kind: Any, streamed: bool) -> None:
    weather, answers, history = Weather(), list[str](), list[Any]()
    async with connected(server) as client:
        agent: Any = Agent(kind(MODEL, provider=OpenAIProvider(openai_client=client)))

        @agent.tool_plain
        def get_weather(city: str) -> str:
            """Say how the weather is."""
            return weather(city)

        for text in TURNS:
            said, history = await _said(agent, text, history=history, streamed=streamed)
            answers.append(said)
    assert answers == ANSWERS
    assert weather.cities == CITIES


async def _said(
    agent: Any, text: str, *, history: list[Any], streamed: bool
) -> tuple[str, list[Any]]:
    if not streamed:
        result = await agent.run(text, message_history=history)
        return result.output, result.all_messages()
    async with agent.run_stream(text, message_history=history) as result:
        pieces = [piece async for piece in result.stream_text(delta=True, debounce_by=None)]
        return "".join(pieces), result.all_messages()


@kinds
@pytest.mark.parametrize("form", [ToolOutput, NativeOutput])
async def test_pydantic_ai_gets_answers_in_a_form(server: str, kind: Any, form: Any) -> None:
    answers, history = list[Answer](), list[Any]()
    async with connected(server) as client:
        model = kind("structured", provider=OpenAIProvider(openai_client=client))
        agent: Any = Agent(model, output_type=form(Answer))
        for text in TURNS:
            result = await agent.run(text, message_history=history)
            answers.append(result.output)
            history = result.all_messages()
    assert answers == [Answer(turn=turn, said=text) for turn, text in enumerate(TURNS, start=1)]
