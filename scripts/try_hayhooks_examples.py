"""Loads and calls every wrapper among the examples of deepset-ai/hayhooks, and prints a table.

What an example needs from outside (a model, a database, the internet) is stood in for; see
`hayhooks_stand_ins.py`.
"""

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import hayhooks_stand_ins as stand_ins
from loguru import logger

from hayserve.errors import HayserveError
from hayserve.testing import Client, serve

QUESTION = "What is the weather in Berlin?"
WEBSITES = {"urls": ["https://a.example"], "question": QUESTION}
SUM = {"a": 5, "b": 3}
SHARED = "shared_code_between_wrappers/common"
# What the client of agent_codex executes itself.
TOOL: dict[str, Any] = {
    "type": "function",
    "name": "exec_command",
    "parameters": {"properties": {"cmd": {}}},
}
CALLS = ("run", "chat", "chat streamed", "responses", "responses streamed", "file upload")


@dataclass(frozen=True)
class Example:
    """One example.

    Args:
        run: What its `/run` takes.
        files: The files that its `/run` takes.
        needs: What it needs beside hayserve.
        fails_upstream: Calls that fail in Hayhooks 2.1 too, because of the example's own code.
    """

    run: dict[str, Any] = field(default_factory=dict[str, Any])
    files: dict[str, Any] = field(default_factory=dict[str, Any])
    needs: str = "?"
    fails_upstream: tuple[str, ...] = ()


OPENAI = "`OPENAI_API_KEY`"
PAGES = f"{OPENAI}, `trafilatura`, web pages"
MCP = f"{OPENAI}, `mcp-haystack`, its MCP server"
ELASTIC = "`elasticsearch-haystack`, `sentence-transformers-haystack`, Elasticsearch"
EXAMPLES = {
    "agent_codex": Example(needs=f"{OPENAI}, Open-Meteo"),
    "async_hybrid_streaming": Example({"question": QUESTION}, needs="nothing"),
    "async_question_answer": Example({"question": QUESTION}, needs=OPENAI),
    "chainlit_weather_agent": Example(needs=f"{OPENAI}, Open-Meteo"),
    "chat_completion_with_file_upload": Example(needs=OPENAI),
    "chat_with_website": Example(WEBSITES, needs=PAGES, fails_upstream=("run",)),
    "chat_with_website_mcp": Example(WEBSITES, needs=PAGES, fails_upstream=("run",)),
    "chat_with_website_streaming": Example(WEBSITES, needs=PAGES, fails_upstream=("run",)),
    "custom_tracing": Example(
        files={"files": ("p.yml", b"components: {}", "text/yaml")}, needs=f"`fastapi`, {OPENAI}"
    ),
    "image_generation": Example(
        {"prompt": "A cat"}, needs="`fastapi`, `huggingface_hub`, `HF_TOKEN`"
    ),
    "indexing_pipeline": Example(
        files={"files": ("cake.txt", b"Flour, sugar, no eggs.", "text/plain")},
        needs=f"`fastapi`, `pypdf`, `markdown-it-py`, `mdit_plain`, {ELASTIC}",
    ),
    "multi_llm_streaming": Example({"query": QUESTION}, needs=OPENAI),
    "open_webui_agent_events": Example(needs=OPENAI),
    "open_webui_agent_on_tool_calls": Example(needs=OPENAI),
    "pipeline_1": Example(SUM, needs="`--additional-python-path …/common`"),
    "pipeline_2": Example(SUM, needs="`--additional-python-path …/common`"),
    "query_pipeline": Example(
        {"question": QUESTION}, needs=f"{ELASTIC}, `huggingface-api-haystack`, `HF_TOKEN`"
    ),
    "reasoning_agent": Example(needs=OPENAI),
    "relative_imports": Example({"name": "Ada", "numbers": [1, 2, 3]}, needs="nothing"),
    "responses_with_file_upload": Example(needs=OPENAI),
    "run_api_streaming": Example(WEBSITES, needs=PAGES),
    "trip_planner_agent": Example(needs=f"{MCP}, `a2a-sdk`, the weather agent over A2A"),
    "weather_agent": Example({"question": QUESTION}, needs=OPENAI),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkout", type=Path, help="a checkout of deepset-ai/hayhooks")
    parser.add_argument("--only", help="the name of one example's folder")
    given = parser.parse_args()
    examples = given.checkout.resolve() / "examples"
    folders = sorted(path.parent for path in examples.rglob("pipeline_wrapper.py"))
    if not folders:
        parser.error(f"there are no wrappers in {examples}")
    os.environ["OPENAI_API_KEY"] = "none"  # noqa: TID251 - what the examples read
    logger.remove()
    stand_ins.put_in_place()
    rows = [
        _try(folder, examples)
        for folder in folders
        if given.only is None or folder.name == given.only
    ]
    _print(rows)
    return int(any("✗" in cell for row in rows for cell in row))


def _try(folder: Path, examples: Path) -> list[str]:
    example = EXAMPLES.get(folder.name, Example())
    place = str(folder.relative_to(examples))
    needs = MCP if "a2a_multi_agent" in place and folder.name == "weather_agent" else example.needs
    try:
        with serve(folder, settings={"additional_python_path": str(examples / SHARED)}) as client:
            results = [
                _result(call, known=name in example.fails_upstream)
                for name, call in zip(CALLS, _calls(client, folder.name, example), strict=True)
            ]
    except HayserveError as error:
        return [f"`{place}`", f"✗ {error}", *["" for _ in CALLS], needs]
    return [f"`{place}`", "✓", *results, needs]


def _calls(client: Client, name: str, example: Example) -> Iterator[Callable[[], str] | None]:
    """One call for each of `CALLS`; None for what the example does not do."""
    can = client.http.get(f"/status/{name}").json()["deployment"]["capabilities"]
    asked: dict[str, Any] = {"model": name, "input": QUESTION, "tools": [TOOL]}
    upload = {"file": ("notes.txt", b"Some notes.", "text/plain")}
    about = {"purpose": "user_data", "model": name}

    def post(path: str, **body: Any) -> str:
        return _checked(client.http.post(path, **body))

    run = {"files": example.files} if example.files else {"json": example.run}
    yield partial(post, f"/{name}/run", **run) if "run_api" in can else None
    chats = "chat_completion" in can
    yield (lambda: client.chat(name, QUESTION).text) if chats else None
    yield (lambda: client.stream_chat(name, QUESTION).text) if chats else None
    for body in (asked, {**asked, "stream": True}):
        yield partial(post, "/v1/responses", json=body) if "responses" in can else None
    yield partial(post, "/v1/files", data=about, files=upload) if "file_upload" in can else None


def _checked(response: Any) -> str:
    text = response.text if response.content[:4] != stand_ins.PNG[:4] else "an image"
    if not response.is_success or "response.failed" in text:
        raise RuntimeError(text)
    return str(text)


def _result(call: Callable[[], str] | None, *, known: bool) -> str:
    if call is None:
        return "-"
    try:
        answer = call()
    except Exception as error:  # noqa: BLE001 - whatever goes wrong goes into the table
        return "as upstream¹" if known else f"✗ {error}"
    sys.stderr.write(f"    {answer[:300]!r}\n")
    return "✓" if answer else "✗ an empty answer"


def _print(rows: list[list[str]]) -> None:
    titles = ["example", "loads", *CALLS, "needs"]
    for row in [titles, ["---"] * len(titles), *rows]:
        sys.stdout.write(f"| {' | '.join(cell.replace(chr(10), ' ') for cell in row)} |\n")
    sys.stdout.write(
        "\n¹ Fails in Hayhooks 2.1 too: `run_api` returns a `ChatMessage` and declares `str`.\n"
    )


if __name__ == "__main__":
    sys.exit(main())
