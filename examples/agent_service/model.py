"""The agent's model: a real one if there is a key or an address, else one that needs neither."""

import os
import re

from haystack.components.generators.chat import MockChatGenerator, OpenAIChatGenerator
from haystack.dataclasses import ChatMessage, ToolCall
from haystack.tools import Tool
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


def offline_reply(messages: list[ChatMessage], tools: list[Tool]) -> ChatMessage:
    """Call the tool that the question asks for, then say what it gave."""
    last = messages[-1]
    if last.tool_call_results:
        given = ", ".join(str(result.result) for result in last.tool_call_results)
        return ChatMessage.from_assistant(f"{OFFLINE} The tool says: {given}.")
    question = last.text or ""
    call = call_asked_for(question, tools)
    if call:
        return ChatMessage.from_assistant(tool_calls=[call])
    return ChatMessage.from_assistant(
        f"{OFFLINE} You said: {question!r}. Ask me for a sum or for the time and I use a tool; "
        "set OPENAI_API_KEY for a real model."
    )


def call_asked_for(question: str, tools: list[Tool]) -> ToolCall | None:
    sum_asked = re.search(r"[-(]*\d[\d\s.()]*[-+*/][-+*/\d\s.()]*", question)
    if sum_asked:
        return ToolCall("calculate", {"expression": sum_asked.group().strip()}, id="call_sum")
    if re.search(r"\b(time|date|day|clock)\b", question, re.IGNORECASE):
        return ToolCall("current_time", {}, id="call_time")
    for tool in tools:
        # Clients may bring tools of their own: "weather" asks for their `get_weather`.
        if re.search(rf"\b{tool.name.split('_')[-1]}\b", question, re.IGNORECASE):
            arguments = dict.fromkeys(tool.parameters.get("required", []), question)
            return ToolCall(tool.name, arguments, id=f"call_{tool.name}")
    return None
