"""Completions that were made with `store: true` can be seen again."""

from collections.abc import AsyncGenerator, Generator
from typing import Any

import pytest
from httpx2 import AsyncClient
from openai.types.chat import ChatCompletion, ChatCompletionDeleted

from protocols.openai_chat.served import (
    Wrapper,
    ask,
    chunks_in,
    completion_in,
    deployed,
    said_in,
    served,
)

pytestmark = pytest.mark.anyio

PATH = "/v1/chat/completions"
MINE, YOURS = {"authorization": "Bearer mine"}, {"authorization": "Bearer yours"}


class Echo(Wrapper):
    def run_chat_completion(
        self, model: str, messages: list[dict[str, Any]], body: dict[str, Any]
    ) -> Generator[str]:
        yield "Hello, "
        yield str(messages[-1]["content"])


class Fails(Wrapper):
    def run_chat_completion(
        self, model: str, messages: list[dict[str, Any]], body: dict[str, Any]
    ) -> Generator[str]:
        yield "Hello"
        raise RuntimeError("no model")


class Builds(Wrapper):
    """Builds completions, all with one id."""

    def run_chat_completion(
        self, model: str, messages: list[dict[str, Any]], body: dict[str, Any]
    ) -> ChatCompletion:
        message = {"role": "assistant", "content": "Hi"}
        return ChatCompletion.model_validate(
            {
                "id": "theirs",
                "object": "chat.completion",
                "created": 1,
                "model": "theirs",
                "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            }
        )


@pytest.fixture
async def client() -> AsyncGenerator[AsyncClient]:
    async with served(deployed("it", Echo(), "other"), deployed("fails", Fails())) as client:
        yield client


async def stored(client: AsyncClient, model: str = "it", **fields: Any) -> ChatCompletion:
    return completion_in(await ask(client, model, store=True, **fields))


async def found(client: AsyncClient, query: str = "", path: str = "") -> tuple[list[str], bool]:
    """The ids on a page of a list, and whether there are more."""
    answer = await client.get(f"{PATH}{path}?{query}")
    assert answer.status_code == 200, answer.text
    page = answer.json()
    ids = [each["id"] for each in page["data"]]
    assert page["object"] == "list"
    assert [page["first_id"], page["last_id"]] == ([ids[0], ids[-1]] if ids else [None, None])
    return ids, page["has_more"]


@pytest.mark.parametrize("prefix", ["", "/v1"])
async def test_a_completion_is_kept_if_that_is_asked_for(client: AsyncClient, prefix: str) -> None:
    made = await ask(client, store=True, metadata={"topic": "x"})
    again = await client.get(f"{prefix}/chat/completions/{completion_in(made).id}")
    assert again.json() == {**made.json(), "metadata": {"topic": "x"}}
    assert completion_in(again).choices == completion_in(made).choices


@pytest.mark.parametrize("fields", [{}, {"store": False}, {"store": None}])
@pytest.mark.parametrize("stream", [False, True])
async def test_nothing_is_kept_if_that_is_not_asked_for(
    client: AsyncClient, fields: dict[str, Any], stream: bool
) -> None:
    answer = await ask(client, stream=stream, **fields)
    again = await client.get(f"{PATH}/chatcmpl-{answer.headers['x-request-id']}")
    assert again.status_code == 404
    assert again.json()["error"]["param"] == "completion_id"
    assert await found(client) == ([], False)


async def test_a_stream_is_kept_when_it_has_ended(client: AsyncClient) -> None:
    chunks = chunks_in((await ask(client, store=True, stream=True)).content)
    again = completion_in(await client.get(f"{PATH}/{chunks[0].id}"))
    assert again.choices[0].message.content == said_in(chunks) == "Hello, Hello"
    assert (again.model, again.created) == ("it", chunks[0].created)


async def test_a_stream_that_failed_is_not_kept(client: AsyncClient) -> None:
    answer = await ask(client, "fails", store=True, stream=True)
    assert b"no model" in answer.content
    assert (await ask(client, "fails", store=True)).status_code == 500
    assert await found(client) == ([], False)


@pytest.mark.parametrize("stream", [False, True])
async def test_what_a_wrapper_has_built_is_kept_under_an_id_of_its_own(stream: bool) -> None:
    async with served(deployed("it", Builds())) as client:
        for _ in range(2):
            assert (await ask(client, store=True, stream=stream)).status_code == 200
        ids, _ = await found(client)
        again = completion_in(await client.get(f"{PATH}/{ids[1]}"))
    assert len(set(ids)) == 2
    assert again.choices[0].message.content == "Hi"
    assert again.model == "it"


async def test_a_completion_is_its_owners(client: AsyncClient) -> None:
    body = {"model": "it", "messages": [{"role": "user", "content": "Hi"}], "store": True}
    one = f"{PATH}/{(await client.post(PATH, json=body, headers=MINE)).json()['id']}"
    for answer in (
        await client.get(one, headers=YOURS),
        await client.get(one),
        await client.post(one, json={"metadata": {}}, headers=YOURS),
        await client.get(f"{one}/messages", headers=YOURS),
        await client.delete(one, headers=YOURS),
    ):
        assert answer.status_code == 404
        assert answer.json()["error"]["param"] == "completion_id"
    assert (await client.get(PATH, headers=YOURS)).json()["data"] == []
    assert (await client.get(one, headers=MINE)).status_code == 200


async def test_a_completion_is_deleted(client: AsyncClient) -> None:
    completion = await stored(client)
    answer = await client.delete(f"{PATH}/{completion.id}")
    deleted = ChatCompletionDeleted.model_validate(answer.json(), strict=True)
    assert (deleted.id, deleted.deleted) == (completion.id, True)
    assert (await client.get(f"{PATH}/{completion.id}")).status_code == 404
    assert (await client.delete(f"{PATH}/{completion.id}")).status_code == 404


async def test_the_messages_that_a_completion_answers_are_listed_in_pages(
    client: AsyncClient,
) -> None:
    parts = [{"type": "text", "text": "Hi"}]
    messages = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": parts, "name": "Ada"},
        {"role": "assistant"},
        {"role": "user", "content": "Bye"},
    ]
    path = f"/{(await stored(client, messages=messages)).id}/messages"
    whole = (await client.get(f"{PATH}{path}")).json()["data"]
    ids = [message.pop("id") for message in whole]
    assert whole == [
        {"role": "system", "content": "Be kind.", "content_parts": None},
        {"role": "user", "content": None, "content_parts": parts, "name": "Ada"},
        {"role": "assistant", "content": None, "content_parts": None},
        {"role": "user", "content": "Bye", "content_parts": None},
    ]
    assert await found(client, "limit=3", path) == (ids[:3], True)
    assert await found(client, f"limit=3&after={ids[2]}", path) == (ids[3:], False)
    assert await found(client, "order=desc", path) == (ids[::-1], False)


async def test_completions_are_listed_in_pages(client: AsyncClient) -> None:
    ids = [(await stored(client)).id for _ in range(3)]
    assert await found(client) == (ids, False)
    assert await found(client, "limit=2") == (ids[:2], True)
    assert await found(client, f"limit=2&after={ids[1]}") == (ids[2:], False)
    assert await found(client, "order=desc") == (ids[::-1], False)
    assert (await client.get("/chat/completions")).json()["data"][0]["id"] == ids[0]


async def test_completions_are_found_by_their_model_and_by_what_is_noted(
    client: AsyncClient,
) -> None:
    one = (await stored(client, metadata={"topic": "x", "by": "Ada"})).id
    two = (await stored(client, "other", metadata={"topic": "x"})).id
    three = (await stored(client, metadata={"metadata[topic]": "y"})).id
    assert await found(client, "model=it") == ([one, three], False)
    assert await found(client, "metadata[topic]=x") == ([one, two], False)
    assert await found(client, "metadata[topic]=x&metadata[by]=Ada") == ([one], False)
    assert await found(client, "metadata[topic]=x&model=other&limit=1") == ([two], False)
    assert await found(client, "metadata[topic]=z") == ([], False)


@pytest.mark.parametrize(
    ("query", "param"), [("limit=0", "limit"), ("order=up", "order"), ("after=x", "after")]
)
async def test_a_page_that_has_no_meaning_is_refused(
    client: AsyncClient, query: str, param: str
) -> None:
    answer = await client.get(f"{PATH}?{query}")
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param


async def test_what_is_noted_of_a_completion_may_be_replaced(client: AsyncClient) -> None:
    completion = await stored(client, metadata={"topic": "x"})
    one = f"{PATH}/{completion.id}"
    changed = await client.post(one, json={"metadata": {"by": "Ada"}})
    assert changed.json()["metadata"] == {"by": "Ada"}
    assert completion_in(changed).choices == completion.choices
    assert (await client.get(one)).json() == changed.json()


async def test_what_cannot_be_noted_is_refused(client: AsyncClient) -> None:
    one = f"{PATH}/{(await stored(client)).id}"
    for answer in (
        await client.post(one, json={"metadata": {"topic": 1}}),
        await ask(client, store=True, metadata={"topic": 1}),
    ):
        assert answer.status_code == 400
        assert answer.json()["error"]["param"] == "metadata"
