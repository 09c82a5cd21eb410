"""What LiteLLM makes of a server: `litellm_client.py URL MODEL…` prints it as JSON.

It has a process of its own, because it leaves event loops, paths and variables behind.
"""

import importlib
import json
import os
import sys
from typing import Any

import openai


class Client:
    """LiteLLM, with what each call of it is given."""

    def __init__(self, url: str) -> None:
        os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # or it asks the internet for prices
        self._litellm: Any = importlib.import_module("litellm")
        self._litellm.suppress_debug_info = True
        self._url = url

    def completed(self, model: str, **more: Any) -> Any:
        return self._litellm.completion(
            f"openai/{model}",
            messages=[{"role": "user", "content": "Hello"}],
            api_base=f"{self._url}/v1",
            api_key="none",
            max_retries=0,
            **more,
        )

    def plain(self, model: str) -> dict[str, Any]:
        completion = self.completed(model)
        choice = completion.choices[0]
        return {
            "text": choice.message.content,
            "finish": choice.finish_reason,
            "tools": choice.message.tool_calls,
            "tokens": completion.usage.total_tokens,
        }

    def streamed(self, model: str) -> dict[str, Any]:
        choices = [chunk.choices[0] for chunk in self.completed(model, stream=True)]
        return {
            "text": "".join(choice.delta.content or "" for choice in choices),
            "roles": [choice.delta.role for choice in choices if choice.delta.role],
            "finishes": [choice.finish_reason for choice in choices if choice.finish_reason],
            "tools": [choice.delta.tool_calls for choice in choices if choice.delta.tool_calls],
        }

    def failure(self, model: str, *, stream: bool) -> dict[str, str]:
        try:
            list(self.completed(model, stream=stream))
        except openai.APIError as error:
            return {"name": type(error).__name__, "message": str(error)}
        return {}


def main() -> None:
    _, url, *models = sys.argv
    client = Client(url)
    seen = {
        model: {"plain": client.plain(model), "streamed": client.streamed(model)}
        for model in models
    }
    failures = {
        "unknown": client.failure("nobody", stream=False),
        "failedInTheMiddle": client.failure("failing", stream=True),
    }
    print(json.dumps({**seen, "failures": failures}))  # noqa: T201 - for the test


if __name__ == "__main__":
    main()
