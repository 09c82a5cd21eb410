"""What reads bytes of strangers: functions of bytes that raise nothing but a `HayserveError`."""

import asyncio
import io
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Message

from hayserve import chat_messages_from_openai
from hayserve.access.budget import Budget
from hayserve.access.identity import GUEST
from hayserve.access.key import check_key_name, shown_in
from hayserve.access.scopes import Scopes
from hayserve.deployments.archive import unpack
from hayserve.deployments.bundle import check_alias, check_name
from hayserve.errors import HayserveError, NotFound
from hayserve.kept.responses import Kept
from hayserve.protocols.admin.schema import (
    Aliases,
    DeployFiles,
    DeployYaml,
    Rollback,
    archive_order,
    flag,
    number,
    read,
)
from hayserve.protocols.agent_request import chat_outputs, item_outputs, tools_in
from hayserve.protocols.call import (
    Reading,
    _survives,  # pyright: ignore[reportPrivateUsage] - reads a header of strangers
    _timeout_in,  # pyright: ignore[reportPrivateUsage]
)
from hayserve.protocols.form import form_in
from hayserve.protocols.json_body import check_json
from hayserve.protocols.json_bytes import to_json
from hayserve.protocols.json_object import json_object
from hayserve.protocols.notes import notes_in
from hayserve.protocols.openai_chat.decode import chat_call, names_files
from hayserve.protocols.openai_chat.decode import read_request as read_chat
from hayserve.protocols.openai_embeddings.decode import embedding_call
from hayserve.protocols.openai_embeddings.decode import read_request as read_embeddings
from hayserve.protocols.openai_responses.compact import (
    _asked_in as read_compact,  # pyright: ignore[reportPrivateUsage]
)
from hayserve.protocols.openai_responses.compaction import opened
from hayserve.protocols.openai_responses.conversation_routes import (
    _items as items_in,  # pyright: ignore[reportPrivateUsage]
)
from hayserve.protocols.openai_responses.decode import (
    agent_body,
    decode,
    input_items,
    response_call,
)
from hayserve.protocols.openai_responses.files import upload_in
from hayserve.protocols.openai_responses.kept_items import kept_items
from hayserve.protocols.openai_responses.references import resolved
from hayserve.protocols.openai_responses.socket import (
    _event_in,  # pyright: ignore[reportPrivateUsage]
)
from hayserve.protocols.openai_responses.text_format import TextFormat
from hayserve.protocols.pages import asked_in, number_in
from hayserve.protocols.rest.decode import read_form, served_by
from hayserve.server.callers import Callers, Door, name_in
from hayserve.server.gate import Gate
from hayserve.server.idempotency import _asked  # pyright: ignore[reportPrivateUsage]
from hayserve.wrappers.client_tools import client_tool
from hayserve.wrappers.yaml import YAMLPipelineWrapper
from hayserve.wrappers.yaml_document import YAMLDocument
from soak.fuzz_connection import connection, in_pieces
from soak.fuzz_mutations import Kind
from soak.fuzz_wrappers import Forms, Plain, deployed

RUN_ID = "0" * 24
_MOST_BYTES, _MOST_FILES = 1_000_000, 100

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Target:
    """Something that reads bytes.

    Args:
        name: What it is called, and its folder in `soak/corpus`.
        kind: What its inputs are made of.
        read: Reads them.
        seconds: How long one may take, in seconds of the processor.
    """

    name: str
    kind: Kind
    read: Callable[[bytes], object]
    seconds: float = 1.0

    @property
    def seeds(self) -> Mapping[str, bytes]:
        """Inputs that it accepts, by name."""
        folder = Path(__file__).parent / "corpus" / self.name
        return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


@cache
def _loop() -> asyncio.AbstractEventLoop:
    logging.getLogger("python_multipart").setLevel(logging.CRITICAL)  # it has a word for each form
    return asyncio.new_event_loop()


def _done(work: Awaitable[Result]) -> Result:
    return _loop().run_until_complete(work)


def _request(data: bytes, **scope: Any) -> Request:
    """A request with a body: its content-type, a line break, and what comes in several pieces."""
    kind, _, body = data.partition(b"\n")
    step = 1 + len(body) // (1 + len(kind) % 7)
    pieces = [body[at : at + step] for at in range(0, len(body), step)] or [b""]
    messages: list[Message] = [
        {"type": "http.request", "body": piece, "more_body": index < len(pieces) - 1}
        for index, piece in enumerate(pieces)
    ]

    async def receive() -> Message:
        return messages.pop(0)

    headers = [(b"content-type", kind.strip())] if kind.strip() else []
    known = {"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": headers}
    # With an application, as there always is one, Starlette raises what belongs to one.
    return Request({**known, "app": _served, "state": {"run_id": RUN_ID}, **scope}, receive)


# Bodies in JSON


def _rest_json(data: bytes) -> None:
    _, signature = served_by(deployed(Plain))
    signature.arguments(data)


def _chat(data: bytes) -> None:
    request = read_chat(data)
    names_files(request)
    chat_outputs(request.messages)
    body = request.body()
    _all_of(
        lambda: chat_call(request, deployed(Plain)),
        lambda: chat_call(request, deployed(Forms)),
        lambda: [*map(client_tool, tools_in(body)[0])],
        lambda: chat_messages_from_openai(request.messages),
        lambda: notes_in(request.fields),
    )


def _responses(data: bytes) -> None:
    request = decode(data)
    items = _done(opened(input_items(request)))
    items = _done(resolved(items, [], find=_nothing_found))
    kept = kept_items(items, run_id=RUN_ID)
    item_outputs(items)
    _all_of(
        lambda: response_call(request, deployed(Plain), items),
        lambda: response_call(request, deployed(Forms), kept),
        lambda: tools_in(agent_body(request)),
        lambda: notes_in(request.model_dump()),
    )


async def _nothing_found(id_: str) -> Kept:
    raise NotFound(f"There is no {id_!r}.")


def _all_of(*steps: Callable[[], object]) -> None:
    """Take all steps, and raise a refusal if none was accepted."""
    refusals: list[HayserveError] = []
    for step in steps:
        try:
            step()
        except HayserveError as error:
            refusals.append(error)
    if len(refusals) == len(steps):
        raise refusals[-1]


def _conversation(data: bytes) -> None:
    body = _done(json_object(_request(b"application/json\n" + data), Reading()))
    _all_of(
        lambda: kept_items(items_in(body), run_id=RUN_ID),
        lambda: notes_in(body),
    )


def _compact(data: bytes) -> None:
    asked = read_compact(data)
    sent = asked.input if isinstance(asked.input, list) else []
    _done(opened(kept_items(sent, run_id=RUN_ID)))


def _embeddings(data: bytes) -> None:
    embedding_call(read_embeddings(data), deployed(Plain))


def _client_schema(data: bytes) -> None:
    """The schema of an answer, and the answer."""
    said = _done(json_object(_request(b"application/json\n" + data), Reading()))
    form = {"type": "json_schema", "name": "it", "schema": said.get("schema")}
    TextFormat({"format": form}).fault(to_json(said.get("value")).decode())


def _event(data: bytes) -> None:
    decode(to_json({**_event_in(data), "stream": True}))


def _deploy_files(data: bytes) -> None:
    asked = read(data, DeployFiles)
    check_name(asked.name)
    for alias in asked.aliases or ():
        check_alias(alias)
    assert asked.order().bundle


def _deploy_yaml(data: bytes) -> None:
    asked = read(data, DeployYaml)
    check_name(asked.name)
    assert asked.order().bundle


def _change(data: bytes) -> None:
    _all_of(lambda: read(data, Rollback), lambda: _aliases(data), lambda: _key(data))


def _aliases(data: bytes) -> None:
    asked = read(data, Aliases)
    for alias in (*asked.add, *asked.remove):
        check_alias(alias)


def _key(data: bytes) -> None:
    said = _done(json_object(_request(b"application/json\n" + data), Reading()))
    name, scopes, budget = said.get("name"), said.get("scopes"), said.get("budget")
    if isinstance(name, str):
        check_key_name(name)
        shown_in(name)
    if isinstance(scopes, list):
        Scopes(word for word in cast(list[object], scopes) if isinstance(word, str))
    if isinstance(budget, dict):
        Budget.of(cast(dict[str, Any], budget))


# Forms, archives, YAML


def _rest_form(data: bytes) -> None:
    request = _request(data)
    _, signature = served_by(deployed(Forms))
    try:
        _done(read_form(request, signature))
    finally:
        _done(request.close())


def _file_form(data: bytes) -> None:
    request = _request(data)
    try:
        upload_in(_done(form_in(request)))
    finally:
        _done(request.close())


def _archive(data: bytes) -> None:
    unpack(io.BytesIO(data), most_bytes=_MOST_BYTES, most_files=_MOST_FILES)


def _yaml(data: bytes) -> None:
    source = data.decode(errors="replace")
    document = YAMLDocument(source)
    document.line("components", "prompt", "init_parameters", 0)
    wrapper = YAMLPipelineWrapper.from_yaml(source)
    _all_of(wrapper.setup, lambda: wrapper.run_limits)


# Queries and headers


def _query(data: bytes) -> None:
    query = QueryParams(data)
    _all_of(
        lambda: asked_in(query),
        lambda: flag(query, "overwrite"),
        lambda: number(query, "old"),
        lambda: number_in(query.get("starting_after", "")),
        lambda: archive_order("it", {}, query),
    )


def _headers_in(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    for line in data.split(b"\n"):
        name, _, value = line.partition(b":")
        yield name.strip().lower(), value.strip()


async def _served(scope: Any, receive: Any, send: Any) -> None:
    await PlainTextResponse("")(scope, receive, send)


async def _sent(message: Message) -> None:
    assert message


@cache
def _gate() -> Gate:
    door = Door(local_key="hs_local", open_hosts=["example.com"])
    return Gate(_served, Callers(lambda _: GUEST, door=door), lambda origin: origin == "null")


def _headers(data: bytes) -> None:
    headers = [*_headers_in(data)]
    known = dict(headers)
    text = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}
    request = _request(b"\nbody", headers=headers)
    _all_of(
        lambda: _timeout_in(known.get(b"x-run-timeout")),
        lambda: _survives(known.get(b"x-run-on-disconnect")),
        lambda: check_json(text, b"x"),
        lambda: name_in(text.get("host", "")),
        lambda: _done(_gate()(dict(request.scope), request.receive, _sent)),
        lambda: _asked(request.scope, data) if b"idempotency-key" in known else None,
    )


def _connection(data: bytes) -> None:
    connection(_loop(), *in_pieces(data))


TARGETS = (
    Target("rest_json", "json", _rest_json),
    Target("rest_form", "lines", _rest_form),
    Target("chat", "json", _chat),
    Target("responses", "json", _responses),
    Target("responses_event", "json", _event),
    Target("conversation", "json", _conversation),
    Target("compact", "json", _compact),
    Target("embeddings", "json", _embeddings),
    Target("client_schema", "json", _client_schema),
    Target("file_form", "lines", _file_form),
    Target("deploy_files", "json", _deploy_files),
    Target("deploy_yaml", "json", _deploy_yaml),
    Target("change", "json", _change),
    Target("archive", "archive", _archive),
    # Read where a deployment is tried out, which has a time limit, and never where others wait.
    Target("yaml", "lines", _yaml, seconds=5.0),
    Target("query", "text", _query),
    Target("headers", "lines", _headers),
    Target("connection", "lines", _connection),
)
