"""All that a server sends is what OpenAI's own package says it is, field by field."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openai.types import CreateEmbeddingResponse, FileDeleted, FileObject, Model
from openai.types.chat import (
    ChatCompletion,
    ChatCompletionDeleted,
    ChatCompletionStoreMessage,
)
from openai.types.conversations import (
    Conversation,
    ConversationDeletedResource,
    ConversationItem,
    ConversationItemList,
)
from openai.types.responses import (
    CompactedResponse,
    Response,
    ResponseInputMessageItem,
    ResponseItemList,
)

import hayserve.protocols.openai_responses.frames
from e2e.five_turns import chat_tool, response_tool
from e2e.strictly import Deleted, Listed, Page, Wire, fields_of, kinds_of_events, strictly

MESSAGE: Any = ConversationItem
SOURCES = Path(hayserve.protocols.openai_responses.frames.__file__).parent
ASKED: dict[str, dict[str, Any]] = {
    "text": {"model": "plain", "input": "Hello"},
    "pieces": {"model": "generator", "input": "Hello"},
    "reasoning": {"model": "reasoning", "input": "Hello", "reasoning": {"effort": "low"}},
    "events": {"model": "events", "input": "Hello"},
    "tool": {"model": "tools_agent", "input": "add 2 3"},
    "failed tool": {"model": "tools_agent", "input": "divide 1 0"},
    "client's tool": {
        "model": "tools_agent",
        "input": "weather in Paris",
        "tools": [response_tool()],
    },
    "chosen tool": {
        "model": "tools_agent",
        "input": "weather in Paris",
        "tools": [response_tool()],
        "tool_choice": {"type": "function", "name": "get_weather"},
        "parallel_tool_calls": False,
    },
    "cut off": {"model": "cut_off", "input": "Hello", "max_output_tokens": 3},
    "citations": {"model": "citing", "input": "Hello"},
    "structured": {
        "model": "structured",
        "input": "Hello",
        "text": {"format": {"type": "json_schema", "name": "any", "schema": {"type": "object"}}},
    },
    "stored": {"model": "plain", "input": "Hello", "store": True, "metadata": {"a": "b"}},
    "not stored": {"model": "plain", "input": "Hello", "store": False, "user": "me"},
    "background": {"model": "generator", "input": "Hello", "background": True},
    "failure": {"model": "failing", "input": "Hello"},
}
ENDINGS = {"cut off": "incomplete", "failure": "failed"}
# Those whose names the server puts together.
ALSO = {
    "response.completed",
    "response.failed",
    "response.incomplete",
    "response.mcp_call.completed",
    "response.mcp_call.failed",
}

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]
ways = pytest.mark.parametrize("asked", ASKED)


@pytest.fixture
def wire(server: str) -> Iterator[Wire]:
    wire = Wire(server)
    with wire.http:
        yield wire


@ways
def test_a_stream_of_a_response(wire: Wire, asked: str) -> None:
    first, *_, last = wire.events(ASKED[asked])
    ending = ENDINGS.get(asked, "completed")
    assert (first.type, last.type) == ("response.created", f"response.{ending}")
    assert (first.response.id, last.response.status) == (last.response.id, ending)


def test_every_kind_of_event_that_the_server_knows_was_read(wire: Wire) -> None:
    text = "".join(path.read_text() for path in SOURCES.glob("*.py"))
    known = set(re.findall(r'"(response\.[a-z_.]+)"', text)) & kinds_of_events()
    read = {event.type for body in ASKED.values() for event in wire.events(body)}
    assert (known | ALSO) - read == set()


@pytest.mark.parametrize("asked", [one for one in ASKED if one not in {"failure", "background"}])
def test_a_whole_response(wire: Wire, asked: str) -> None:
    response: Response = wire.post("/responses", Response, ASKED[asked])
    assert response.status == ENDINGS.get(asked, "completed")
    streamed = wire.events(ASKED[asked])[-1].response
    assert [item.type for item in response.output] == [item.type for item in streamed.output]


def test_citations_are_in_the_text_and_in_events_of_their_own(wire: Wire) -> None:
    events = wire.events(ASKED["citations"])
    kind = "response.output_text.annotation.added"
    added = [event.annotation.type for event in events if event.type == kind]
    (message,) = events[-1].response.output
    assert added == ["url_citation", "file_citation"]
    assert [annotation.type for annotation in message.content[0].annotations] == added


def test_a_response_that_is_kept(wire: Wire) -> None:
    response: Response = wire.post("/responses", Response, ASKED["client's tool"])
    path = f"/responses/{response.id}"
    assert fields_of(wire.get(path, Response)) == fields_of(response)
    items = wire.get(f"{path}/input_items", ResponseItemList)
    assert [item.type for item in items.data] == ["message"]
    assert wire.delete(path, Deleted).id == response.id
    assert wire.failure("GET", path)[0] == 404


def test_all_kinds_of_input_that_is_kept(wire: Wire) -> None:
    file = upload(wire)
    picture = {"type": "input_image", "image_url": "https://example.com/a.png", "detail": "auto"}
    parts = [{"type": "input_text", "text": "Hello"}, picture]
    parts.append({"type": "input_file", "file_id": file.id})
    items = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": parts},
        {"role": "assistant", "content": "Hello."},
        *fields_of(wire.post("/responses", Response, ASKED["reasoning"]))["output"],
        *fields_of(wire.post("/responses", Response, ASKED["failed tool"]))["output"],
        {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "call_1", "output": "fine"},
        {"role": "user", "content": "And now?"},
    ]
    response = wire.post("/responses", Response, {"model": "plain", "input": items})
    path = f"/responses/{response.id}/input_items"
    kept = wire.get(path, ResponseItemList, order="asc", limit=100).data
    kinds = [str(item.get("type", "message")) for item in items]
    assert [item.type for item in kept] == kinds
    made = wire.post("/conversations", Conversation, {"items": items})
    kept = wire.get(f"/conversations/{made.id}/items", ConversationItemList, order="asc").data
    assert [item.type for item in kept] == kinds


@pytest.mark.parametrize("asked", ["stored", "reasoning", "failed tool", "citations", "failure"])
def test_a_stream_that_is_picked_up(wire: Wire, asked: str) -> None:
    events = wire.events({**ASKED[asked], "store": True})
    id_ = events[0].response.id
    assert wire.events_again(id_) == events
    assert wire.events_again(id_, after=3) == events[4:]
    assert wire.get(f"/responses/{id_}", Response) == events[-1].response


def test_a_response_in_the_background(wire: Wire) -> None:
    response: Response = wire.post("/responses", Response, ASKED["background"])
    assert response.background
    assert response.status in {"queued", "in_progress"}
    *_, last = wire.events_again(response.id)
    assert last.type == "response.completed"
    path = f"/responses/{response.id}"
    assert wire.get(path, Response).status == "completed"
    assert wire.post(f"{path}/cancel", Response).status == "completed"


def test_a_conversation_that_is_compacted(wire: Wire) -> None:
    answer = wire.http.post("/responses/compact", json=ASKED["tool"])
    # What users have said stays as it is, which the package does not declare and OpenAI does too.
    said, made = [
        [item for item in answer.json()["output"] if (item["type"] == "message") is is_message]
        for is_message in (True, False)
    ]
    strictly(CompactedResponse, json.dumps({**answer.json(), "output": made}))
    strictly(list[ResponseInputMessageItem], json.dumps(said))
    items = [*said, *made, {"role": "user", "content": "Hello"}]
    response = wire.post("/responses", Response, {"model": "tools_agent", "input": items})
    assert response.output_text == "2: Hello"


def test_a_conversation(wire: Wire) -> None:
    made = wire.post("/conversations", Conversation, {"metadata": {"topic": "weather"}})
    path = f"/conversations/{made.id}"
    for text in ("Hello", "add 2 3"):
        body = {"model": "tools_agent", "input": text, "conversation": made.id}
        response = wire.post("/responses", Response, body)
        assert response.conversation.id == made.id
    items = wire.get(f"{path}/items", ConversationItemList, order="asc").data
    said = ["message", "message", "message", "mcp_call", "message"]
    assert [item.type for item in items] == said
    found = wire.get(f"{path}/items/{items[0].id}", ConversationItem)
    assert found == items[0]
    more = {"items": [{"role": "user", "content": "And more."}]}
    (added,) = wire.post(f"{path}/items", ConversationItemList, more).data
    assert wire.delete(f"{path}/items/{added.id}", Conversation).id == made.id
    assert wire.post(path, Conversation, {"metadata": {"topic": "sums"}}).metadata == {
        "topic": "sums"
    }
    assert wire.get(path, Conversation).metadata == {"topic": "sums"}
    assert wire.delete(path, ConversationDeletedResource).deleted
    assert wire.failure("GET", path)[0] == 404


def test_a_conversation_without_items(wire: Wire) -> None:
    made = wire.post("/conversations", Conversation, {})
    # The package's list always names a first and a last item, its pages do not.
    empty = wire.get(f"/conversations/{made.id}/items", Page[MESSAGE])
    assert (empty.data, empty.first_id, empty.has_more) == ([], None, False)


def upload(wire: Wire) -> FileObject:
    sent = {"file": ("a.txt", b"Hello", "text/plain")}
    answer = wire.http.post("/files", files=sent, data={"purpose": "user_data"})
    file: FileObject = wire.get(f"/files/{answer.json()['id']}", FileObject)
    assert fields_of(file) == answer.json()
    return file


def test_files(wire: Wire) -> None:
    file = upload(wire)
    assert file.id in [one.id for one in wire.get("/files", Page[FileObject]).data]
    assert wire.http.get(f"/files/{file.id}/content").content == b"Hello"
    assert wire.delete(f"/files/{file.id}", FileDeleted).deleted
    assert wire.failure("GET", f"/files/{file.id}")[0] == 404


def test_models(wire: Wire) -> None:
    models = wire.get("/models", Listed[Model]).data
    assert wire.get(f"/models/{models[0].id}", Model) == models[0]


SAID: dict[str, dict[str, Any]] = {
    model: {"model": model, "messages": [{"role": "user", "content": "Hello"}]}
    for model in ("plain", "reasoning", "events", "agent", "client_tool", "cut_off", "citing")
}
SAID["tools_agent"] = {
    "model": "tools_agent",
    "messages": [{"role": "user", "content": "weather in Paris"}],
    "tools": [chat_tool()],
}


@pytest.mark.parametrize("model", SAID)
def test_completions(wire: Wire, model: str) -> None:
    completion: ChatCompletion = wire.post("/chat/completions", ChatCompletion, SAID[model])
    chunks = wire.chunks({**SAID[model], "stream_options": {"include_usage": True}})
    reasons = [choice.finish_reason for chunk in chunks for choice in chunk.choices]
    assert [reason for reason in reasons if reason] == [completion.choices[0].finish_reason]
    assert chunks[-1].usage == completion.usage
    assert {chunk.model for chunk in chunks} == {completion.model}


def test_a_completion_that_is_kept(wire: Wire) -> None:
    picture = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    parts = [{"type": "text", "text": "Hello"}, picture]
    messages = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": parts}]
    body = {"model": "plain", "messages": messages, "store": True, "metadata": {"a": "b"}}
    completion = wire.post("/chat/completions", ChatCompletion, body)
    path = f"/chat/completions/{completion.id}"
    assert wire.get(path, ChatCompletion).metadata == {"a": "b"}
    noted = wire.post(path, ChatCompletion, {"metadata": {"a": "c"}})
    assert noted.metadata == {"a": "c"}
    assert wire.get("/chat/completions", Page[ChatCompletion]).data == [noted]
    kept = wire.http.get(f"{path}/messages").json()
    assert [message["role"] for message in kept["data"]] == ["system", "user"]
    assert_is_a_page_of_messages(kept)
    assert wire.delete(path, ChatCompletionDeleted).deleted
    assert wire.failure("GET", path)[0] == 404


def test_a_streamed_completion_that_is_kept(wire: Wire) -> None:
    chunks = wire.chunks({**SAID["tools_agent"], "store": True})
    path = f"/chat/completions/{chunks[0].id}"
    kept: ChatCompletion = wire.get(path, ChatCompletion)
    assert kept.choices[0].message.tool_calls is not None
    assert wire.delete(path, ChatCompletionDeleted).deleted


def test_citations_of_a_completion(wire: Wire) -> None:
    completion: ChatCompletion = wire.post("/chat/completions", ChatCompletion, SAID["citing"])
    (annotation,) = completion.choices[0].message.annotations or []
    assert annotation.url_citation.url == "https://example.com/page"


def test_embeddings(wire: Wire) -> None:
    body = {"model": "embedding", "input": ["Hello", "you"]}
    answer: CreateEmbeddingResponse = wire.post("/embeddings", CreateEmbeddingResponse, body)
    assert [one.embedding for one in answer.data] == [[5.0, 0.5], [3.0, 0.5]]


def assert_is_a_page_of_messages(page: dict[str, Any]) -> None:
    """The package declares all of them to be the assistant's, which OpenAI's own are not either."""
    from_assistant = [{**message, "role": "assistant"} for message in page["data"]]
    read: Page[ChatCompletionStoreMessage] = strictly_page({**page, "data": from_assistant})
    assert read.data[-1].content_parts is not None


def strictly_page(page: dict[str, Any]) -> Any:
    return strictly(Page[ChatCompletionStoreMessage], json.dumps(page))


UNFIT: dict[str, tuple[int, str, str, Any]] = {
    "unknown model": (404, "POST", "/responses", {"model": "nobody", "input": "Hello"}),
    "unknown chat model": (404, "POST", "/chat/completions", SAID["plain"] | {"model": "nobody"}),
    "no model": (400, "POST", "/responses", {"input": "Hello"}),
    "no messages": (400, "POST", "/chat/completions", {"model": "plain", "messages": []}),
    "unserved": (400, "POST", "/responses", ASKED["text"] | {"truncation": "auto"}),
    "unfit metadata": (400, "POST", "/conversations", {"metadata": {"a": 1}}),
    "failed": (500, "POST", "/chat/completions", SAID["plain"] | {"model": "failing"}),
    "failed response": (500, "POST", "/responses", ASKED["failure"]),
    "refused": (403, "POST", "/responses", {"model": "refusing", "input": "Hello"}),
    "unknown response": (404, "GET", "/responses/resp_1", None),
    "unknown previous": (400, "POST", "/responses", ASKED["text"] | {"previous_response_id": "1"}),
    "unknown conversation": (404, "GET", "/conversations/conv_1", None),
    "unknown file": (404, "GET", "/files/file-1", None),
    "unknown completion": (404, "GET", "/chat/completions/chatcmpl-1", None),
    "not in the background": (400, "POST", "/responses/{id}/cancel", None),
    "no such path": (404, "GET", "/nothing", None),
    "no such method": (405, "DELETE", "/responses", None),
}


@pytest.mark.parametrize("unfit", UNFIT)
def test_errors(wire: Wire, unfit: str) -> None:
    status, method, path, body = UNFIT[unfit]
    if "{id}" in path:
        path = path.format(id=wire.post("/responses", Response, ASKED["stored"]).id)
    seen, error = wire.failure(method, path, body)
    assert seen == status
    assert error.message
    assert error.type == ("server_error" if status >= 500 else "invalid_request_error")
