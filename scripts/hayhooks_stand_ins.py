"""Stands in for what the examples of Hayhooks need: models, web pages, databases, MCP servers."""

import contextlib
import importlib
import importlib.util
import json
import sys
import types
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import httpx2
from haystack import component
from haystack.components.retrievers.in_memory import InMemoryEmbeddingRetriever
from haystack.dataclasses import ChatMessage, Document
from haystack.document_stores.in_memory import InMemoryDocumentStore
from haystack.tools import Tool

ANSWER = "The stand-in says hello."
# A PNG of one pixel.
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154"
    "789c63f8ffff3f0005fe02fe0def46b80000000049454e44ae426082"
)


def put_in_place() -> None:
    """Answer every HTTP request in this process, and provide the packages that are missing."""
    for library in (httpx, httpx2):
        _take_over(library)
    for name, contents in _packages().items():
        _provide(name, contents)
    if importlib.util.find_spec("huggingface_hub"):
        hub: Any = importlib.import_module("huggingface_hub")
        hub.InferenceClient.text_to_image = lambda *_, **__: Image()


def _take_over(library: Any) -> None:
    def handle_request(_: Any, request: Any) -> Any:
        request.read()
        return answer(library, request)

    async def handle_async_request(_: Any, request: Any) -> Any:
        await request.aread()
        return answer(library, request)

    library.HTTPTransport.handle_request = handle_request
    library.AsyncHTTPTransport.handle_async_request = handle_async_request


def answer(library: Any, request: Any) -> Any:
    """What the internet answers to `request`."""
    match request.url.path.rsplit("/", 1)[-1]:
        case "completions":
            return _model(library, json.loads(request.content), _completion)
        case "responses":
            return _model(library, json.loads(request.content), _response)
        case "search" if "geocoding" in request.url.host:
            place = {"name": "Berlin", "latitude": 52.5, "longitude": 13.4}
            return library.Response(200, json={"results": [place]})
        case "forecast":
            now = {"temperature_2m": 21.5, "weather_code": 2}
            return library.Response(200, json={"current": now})
        case _:
            return library.Response(200, html=f"<html><body><p>{request.url}</p></body></html>")


def _model(library: Any, asked: dict[str, Any], say: Any) -> Any:
    objects: list[dict[str, Any]] = say(asked)
    if not asked.get("stream"):
        return library.Response(200, json=objects[-1])
    lines = [f"data: {json.dumps(item)}\n\n" for item in objects[:-1]]
    return library.Response(
        200,
        text="".join([*lines, "data: [DONE]\n\n"]),
        headers={"content-type": "text/event-stream"},
    )


def _completion(asked: dict[str, Any]) -> list[dict[str, Any]]:
    """The chunks of a chat completion, and the whole of it last."""
    call = _call(asked)
    message: dict[str, Any] = {"role": "assistant", "content": _text(asked)}
    pieces = [{"role": "assistant", "content": word} for word in _words(_text(asked))]
    if call is not None:
        function = {"name": call["name"], "arguments": ""}
        first = {"index": 0, "id": "call_1", "type": "function", "function": function}
        rest = {"index": 0, "function": {"arguments": call["arguments"]}}
        pieces = [{"role": "assistant", "tool_calls": [first]}, {"tool_calls": [rest]}]
        whole = {"id": "call_1", "type": "function", "function": call}
        message = {"role": "assistant", "content": None, "tool_calls": [whole]}
    reason = "tool_calls" if call else "stop"
    base = {"id": "chatcmpl-1", "created": 1, "model": asked["model"]}
    usage = {"prompt_tokens": 5, "completion_tokens": 4, "total_tokens": 9}
    chunks = [
        {**base, "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": delta}]}
        for delta in pieces
    ]
    end = {"index": 0, "delta": {}, "finish_reason": reason}
    chunks.append({**base, "object": "chat.completion.chunk", "choices": [end], "usage": usage})
    choice = {"index": 0, "message": message, "finish_reason": reason}
    return [*chunks, {**base, "object": "chat.completion", "choices": [choice], "usage": usage}]


def _response(asked: dict[str, Any]) -> list[dict[str, Any]]:
    """The events of a response with a little reasoning, and the whole of it last."""
    content = {"type": "output_text", "text": ANSWER, "annotations": []}
    output = [
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm."}]},
        {
            "type": "message",
            "id": "msg_1",
            "role": "assistant",
            "status": "completed",
            "content": [content],
        },
    ]
    whole = {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "model": asked["model"],
        "status": "completed",
        "output": output,
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": {
            "input_tokens": 5,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": 4,
            "output_tokens_details": {"reasoning_tokens": 1},
            "total_tokens": 9,
        },
    }
    thought = {"item_id": "rs_1", "output_index": 0, "summary_index": 0, "delta": "Hm."}
    said = {"item_id": "msg_1", "output_index": 1, "content_index": 0, "logprobs": []}
    events = [
        {"type": "response.output_item.added", "output_index": 0, "item": output[0]},
        {"type": "response.reasoning_summary_text.delta", **thought},
        {"type": "response.output_item.added", "output_index": 1, "item": output[1]},
        *({"type": "response.output_text.delta", **said, "delta": word} for word in _words(ANSWER)),
        {"type": "response.completed", "response": whole},
    ]
    return [*({**event, "sequence_number": n} for n, event in enumerate(events)), whole]


def _call(asked: dict[str, Any]) -> dict[str, str] | None:
    """The first tool with made-up arguments, until a tool has answered."""
    if not asked.get("tools") or any(said["role"] == "tool" for said in asked["messages"]):
        return None
    function = asked["tools"][0]["function"]
    names = function.get("parameters", {}).get("properties", {})
    return {"name": function["name"], "arguments": json.dumps(dict.fromkeys(names, "Berlin"))}


def _text(asked: dict[str, Any]) -> str:
    if "json" in str(asked["messages"][-1]["content"]).lower():
        return '{"classification": "io_bound", "confidence": 0.9, "rationale": "It waits."}'
    return ANSWER


def _words(text: str) -> list[str]:
    return [word for word in text.replace(" ", " \0").split("\0") if word]


def _provide(name: str, contents: dict[str, Any]) -> None:
    """Make `name` importable with `contents`, if nothing of that name is installed."""
    with contextlib.suppress(ImportError):
        importlib.import_module(name)
        return
    parts = name.split(".")
    for end in range(1, len(parts) + 1):
        module = sys.modules.setdefault(
            ".".join(parts[:end]), types.ModuleType(".".join(parts[:end]))
        )
        vars(module).setdefault("__path__", [])
    vars(sys.modules[name]).update(contents)


def _packages() -> dict[str, dict[str, Any]]:
    made = "haystack_integrations"
    return {
        "trafilatura": {"extract": lambda page, **_: str(page)},
        "pypdf": {"PdfReader": PdfReader},
        "markdown_it": {"MarkdownIt": MarkdownIt},
        "mdit_plain.renderer": {"RendererPlain": object},
        "tqdm": {"tqdm": lambda items, **_: items},
        f"{made}.tools.mcp": {"MCPToolset": mcp_tools, "StreamableHttpServerInfo": dict},
        f"{made}.document_stores.elasticsearch": {"ElasticsearchDocumentStore": Store},
        f"{made}.components.retrievers.elasticsearch": {
            "ElasticsearchEmbeddingRetriever": Retriever
        },
        f"{made}.components.embedders.sentence_transformers": {
            "SentenceTransformersDocumentEmbedder": DocumentEmbedder,
            "SentenceTransformersTextEmbedder": TextEmbedder,
        },
        f"{made}.components.generators.huggingface_api": {"HuggingFaceAPIChatGenerator": Generator},
    }


class Image:
    """A picture that can be saved."""

    def save(self, file: Any, **_: Any) -> None:
        Path(file.name).write_bytes(PNG)


class MarkdownIt:
    """Leaves Markdown as it is."""

    def __init__(self, **_: Any) -> None: ...

    def render(self, text: str) -> str:
        return text


class PdfReader:
    """Finds no pages in any PDF."""

    def __init__(self, *_: Any, **__: Any) -> None:
        self.pages: list[Any] = []
        self.metadata: dict[str, Any] = {}


def mcp_tools(server_info: dict[str, str], **_: Any) -> Iterator[Tool]:
    """The one tool of an MCP server at `server_info["url"]`."""
    names = {"8001": "get_weather", "8002": "suggest_activities"}
    name = next((tool for port, tool in names.items() if port in server_info["url"]), "look_up")
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}

    def find(city: str) -> str:
        return f"{city}: sunny"

    yield Tool(name=name, description=name, parameters=schema, function=find)


class Store(InMemoryDocumentStore):
    """One store, whoever opens it."""

    def __init__(self, **_: Any) -> None:
        super().__init__(index="hayhooks-examples")


@component
class Retriever(InMemoryEmbeddingRetriever):
    """Looks in the store."""


@component
class DocumentEmbedder:
    """Gives all documents the same embedding."""

    def __init__(self, **_: Any) -> None: ...

    @component.output_types(documents=list[Document])
    def run(self, documents: list[Document]) -> dict[str, Any]:
        return {"documents": [replace(each, embedding=[1.0, 0.0]) for each in documents]}


@component
class TextEmbedder:
    """Gives all texts the same embedding."""

    def __init__(self, **_: Any) -> None: ...

    @component.output_types(embedding=list[float])
    def run(self, text: str) -> dict[str, Any]:  # noqa: ARG002
        return {"embedding": [1.0, 0.0]}


@component
class Generator:
    """A chat model that always says the same."""

    def __init__(self, **_: Any) -> None: ...

    @component.output_types(replies=list[ChatMessage])
    def run(self, messages: list[ChatMessage]) -> dict[str, Any]:  # noqa: ARG002
        return {"replies": [ChatMessage.from_assistant(ANSWER)]}
