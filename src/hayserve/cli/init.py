"""The command `hayserve init`."""

from shlex import quote

from hayserve.cli import show
from hayserve.cli.flags import Init
from hayserve.cli.names import check
from hayserve.errors import Misconfigured

WRAPPER = '''\
"""An agent with one tool.

Without OPENAI_API_KEY it answers with an offline demo model.
"""

import os
from collections.abc import Iterator
from typing import Annotated, Any

from haystack.components.agents import Agent
from haystack.components.generators.chat import MockChatGenerator, OpenAIChatGenerator
from haystack.dataclasses import ChatMessage, ToolCall
from haystack.tools import tool

from hayserve import BasePipelineWrapper, streaming_generator


@tool
def count_words(text: Annotated[str, "The text whose words are counted"]) -> int:
    """Count the words of a text."""
    return len(text.split())


def offline_reply(messages: list[ChatMessage]) -> str | ChatMessage:
    """Play the model: call the tool with what the user said, then say what it returned."""
    last = messages[-1]
    if last.tool_call_result is None:
        call = ToolCall("count_words", {"text": last.text or ""}, id="call_1")
        return ChatMessage.from_assistant(tool_calls=[call])
    words = last.tool_call_result.result
    return f"Words in your message: {words}. (Set OPENAI_API_KEY to talk to a real model.)"


class PipelineWrapper(BasePipelineWrapper):
    def setup(self) -> None:
        if os.environ.get("OPENAI_API_KEY"):
            model = OpenAIChatGenerator()
        else:
            model = MockChatGenerator(response_fn=offline_reply, model="offline-demo")
        self.pipeline = Agent(
            chat_generator=model,
            tools=[count_words],
            system_prompt="You help with texts. Count words with your tool.",
        )

    def run_api(self, question: str) -> str:
        """Answer one question.

        Args:
            question: What to ask the agent.
        """
        result = self.pipeline.run(messages=[ChatMessage.from_user(question)])
        return result["last_message"].text

    def run_chat_completion(
        self, model: str, messages: list[dict[str, Any]], body: dict[str, Any]
    ) -> Iterator[Any]:
        """Stream the answer to a conversation."""
        conversation = [ChatMessage.from_openai_dict_format(message) for message in messages]
        return streaming_generator(self.pipeline, pipeline_run_args={"messages": conversation})
'''


def init(given: Init) -> None:
    """Write a wrapper to start from, say what to do with it."""
    check(given.name, param_hint="NAME")
    folder = given.dir / given.name
    file = folder / "pipeline_wrapper.py"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with file.open("x", encoding="utf-8") as opened:
            opened.write(WRAPPER)
    except FileExistsError as error:
        raise Misconfigured(
            f"{str(file)!r} exists already.", hint="Choose another name, or remove it."
        ) from error
    show.success(
        f"{file} written. Serve it and talk to it:",
        f"hayserve run {quote(str(folder))}",
        f'hayserve call {quote(given.name)} --param question="How many words are these?"',
        f'hayserve call {quote(given.name)} --chat "How many words are these?"',
    )
