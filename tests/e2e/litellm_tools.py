"""Has the conversation of five turns through LiteLLM: `python -m e2e.litellm_tools URL`.

It prints what it heard as JSON. It has a process of its own, because LiteLLM leaves event loops,
paths and variables behind.
"""

import importlib
import json
import os
import sys
from typing import Any

from e2e.five_turns import MODEL, TURNS, Weather, chat_tool, response_tool


class Client:
    """LiteLLM, with what each call of it is given."""

    def __init__(self, url: str) -> None:
        os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # or it asks the internet for prices
        self._litellm: Any = importlib.import_module("litellm")
        self._litellm.suppress_debug_info = True
        self._common = {
            "model": f"openai/{MODEL}",
            "api_base": f"{url}/v1",
            "api_key": "none",
            "max_retries": 0,
        }

    def completed(self, messages: list[Any], *, streamed: bool) -> dict[str, Any]:
        """The message that answers."""
        answer = self._litellm.completion(
            **self._common, messages=messages, tools=[chat_tool()], stream=streamed
        )
        if streamed:
            answer = self._litellm.stream_chunk_builder(list(answer), messages=messages)
        message: dict[str, Any] = answer.choices[0].message.model_dump(exclude_none=True)
        return message

    def responded(self, items: list[Any], previous: str | None, *, streamed: bool) -> Any:
        """The response."""
        answer = self._litellm.responses(
            **self._common,
            input=items,
            tools=[response_tool()],
            previous_response_id=previous,
            stream=streamed,
        )
        return list(answer)[-1].response if streamed else answer


def chat(client: Client, *, streamed: bool) -> dict[str, Any]:
    weather, messages, answers = Weather(), list[Any](), list[Any]()
    for text in TURNS:
        messages.append({"role": "user", "content": text})
        while True:
            message = client.completed(messages, streamed=streamed)
            messages.append(message)
            if not message.get("tool_calls"):
                break
            for call in message["tool_calls"]:
                said = weather(**json.loads(call["function"]["arguments"]))
                messages.append({"role": "tool", "tool_call_id": call["id"], "content": said})
        answers.append(message["content"])
    return {"answers": answers, "cities": weather.cities}


def respond(client: Client, *, streamed: bool) -> dict[str, Any]:
    weather, answers = Weather(), list[Any]()
    previous: str | None = None
    for text in TURNS:
        items: list[Any] = [{"role": "user", "content": text}]
        output: list[Any] = []
        while items:
            response = client.responded(items, previous, streamed=streamed)
            previous, output = response.id, response.model_dump()["output"]
            items = [
                {
                    "type": "function_call_output",
                    "call_id": item["call_id"],
                    "output": weather(**json.loads(item["arguments"])),
                }
                for item in output
                if item["type"] == "function_call"
            ]
        answers.append(output[-1]["content"][0]["text"])
    return {"answers": answers, "cities": weather.cities}


def main() -> None:
    _, url = sys.argv
    client = Client(url)
    seen = {
        f"{way}, {'streamed' if streamed else 'plain'}": talk(client, streamed=streamed)
        for way, talk in (("chat completions", chat), ("responses", respond))
        for streamed in (False, True)
    }
    print(json.dumps(seen))  # noqa: T201 - for the test


if __name__ == "__main__":
    main()
