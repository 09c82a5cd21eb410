"""A conversation of five turns with the deployment `tools_agent`, which every client has.

In two turns the agent has the client execute a tool, in one it executes a tool of its own. Each
answer begins with the number of the user's messages, and the last one repeats what the client's
tool has said, so that it is right only if the whole conversation came with it.
"""

from typing import Any

MODEL = "tools_agent"
TURNS = (
    "Hello.",
    "How is the weather in Paris?",
    "Please add 2 3.",
    "And the weather in Rome?",
    "Which weather was that?",
)
ANSWERS = [
    "1: Hello.",
    "2: The tool says sunny in Paris.",
    "3: The tool says 5.",
    "4: The tool says sunny in Rome.",
    "5: sunny in Paris, sunny in Rome.",
]
CITIES = ["Paris", "Rome"]


class Weather:
    """The client's tool, and for which cities it was called."""

    def __init__(self) -> None:
        self.cities: list[str] = []

    def __call__(self, city: str) -> str:
        self.cities.append(city)
        return f"sunny in {city}"


def chat_tool() -> dict[str, Any]:
    """The client's tool, as chat completions describe it."""
    return {"type": "function", "function": _described()}


def response_tool() -> dict[str, Any]:
    """The same as the Responses API describes it."""
    return {"type": "function", **_described()}


def _described() -> dict[str, Any]:
    return {
        "name": "get_weather",
        "description": "Says how the weather is.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
        "strict": True,
    }
