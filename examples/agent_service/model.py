"""The agent's model: a real one if there is a key or an address, else one that needs neither."""

import os
import re

from haystack.components.generators.chat import MockChatGenerator, OpenAIChatGenerator
from haystack.dataclasses import ChatMessage, ToolCall
from haystack.utils import Secret

OFFLINE = "[offline demo model]"


def chat_generator():
    """
    OpenAI's model with `OPENAI_API_KEY`; with `OPENAI_BASE_URL` any server that speaks its API,
    such as Ollama, vLLM or llama-server; `OPENAI_MODEL` names the model.
    """
    key = os.environ.get("OPENAI_API_KEY")
    if not key and not os.environ.get("OPENAI_BASE_URL"):
        return MockChatGenerator(response_fn=offline_reply, model="offline-demo")
    return OpenAIChatGenerator(
        model=os.environ.get("OPENAI_MODEL", "gpt-4o-mini"),
        api_key=Secret.from_token(key or "none"),
    )


def offline_reply(messages: list[ChatMessage], tools) -> ChatMessage:
    """Call the tool that the question asks for, then say what it gave."""
    last = messages[-1]
    if last.tool_call_results:
        given = ", ".join(str(result.result) for result in last.tool_call_results)
        return ChatMessage.from_assistant(f"{OFFLINE} The tool says: {given}.")
    question = last.text or ""
    sum_asked = re.search(r"[-(]*\d[\d\s.()]*[-+*/][-+*/\d\s.()]*", question)
    if sum_asked:
        call = ToolCall("calculate", {"expression": sum_asked.group().strip()}, id="call_sum")
        return ChatMessage.from_assistant(tool_calls=[call])
    if re.search(r"\b(time|date|day|clock)\b", question, re.IGNORECASE):
        return ChatMessage.from_assistant(tool_calls=[ToolCall("current_time", {}, id="call_time")])
    return ChatMessage.from_assistant(
        f"{OFFLINE} You said: {question!r}. Ask me for a sum or for the time and I use a tool; "
        "set OPENAI_API_KEY for a real model."
    )
