"""Conversations: what clients make, note, list and delete, and what is said in them."""

from typing import Any

import anyio
import httpx2
import pytest
from openai.types.conversations import Conversation

from protocols.openai_responses.paced import Paced, Recalls
from protocols.openai_responses.serving import serving, serving_pair, serving_worker, streaming

pytestmark = pytest.mark.anyio

WAITS = {"x-on-turn-taken": "wait"}
REFUSED = {"x-on-turn-taken": "refuse"}
OTHER = {"authorization": "Bearer other"}


def message(text: str, **fields: Any) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": text, **fields}


async def begun(http: httpx2.AsyncClient, *texts: str, **fields: Any) -> str:
    """The path of a new conversation."""
    body = {"items": [message(text) for text in texts], **fields}
    answer = await http.post("/v1/conversations", json=body)
    assert answer.status_code == 200, answer.text
    return f"/v1/conversations/{answer.json()['id']}"


async def items_of(http: httpx2.AsyncClient, path: str, query: str = "order=asc") -> Any:
    return (await http.get(f"{path}/items?{query}")).json()


async def texts_of(http: httpx2.AsyncClient, path: str) -> list[str]:
    return [item["content"][0]["text"] for item in (await items_of(http, path))["data"]]


async def respond(
    http: httpx2.AsyncClient, path: str, text: str, *, model: str = "recalls", **fields: Any
) -> httpx2.Response:
    headers = fields.pop("headers", {})
    id_ = path.rpartition("/")[2]
    body = {"model": model, "input": text, "conversation": id_, **fields}
    return await http.post("/v1/responses", json=body, headers=headers)


@pytest.mark.parametrize("root", ["/v1", ""])
async def test_a_conversation_is_made_and_found_again(root: str) -> None:
    async with serving() as http:
        made = (await http.post(f"{root}/conversations", json={"metadata": {"a": "b"}})).json()
        found = (await http.get(f"{root}/conversations/{made['id']}")).json()
    assert found == made
    conversation = Conversation.model_validate(made, strict=True)
    assert conversation.object == "conversation"
    assert conversation.metadata == {"a": "b"}
    assert made["id"].startswith("conv_")


async def test_a_conversation_may_be_asked_for_without_a_word() -> None:
    async with serving() as http:
        answer = await http.post("/v1/conversations")
    assert (answer.status_code, answer.json()["metadata"]) == (200, {})


async def test_what_is_noted_is_replaced() -> None:
    async with serving() as http:
        path = await begun(http, metadata={"a": "b"})
        changed = (await http.post(path, json={"metadata": {"c": "d"}})).json()
        assert (await http.get(path)).json() == changed
    assert changed["metadata"] == {"c": "d"}


async def test_a_conversation_is_deleted_with_its_items() -> None:
    async with serving() as http:
        path = await begun(http, "a")
        gone = await http.delete(path)
        assert gone.json()["object"] == "conversation.deleted"
        assert gone.json()["deleted"] is True
        for later in (await http.get(path), await http.get(f"{path}/items")):
            assert later.status_code == 404
            assert later.json()["error"]["param"] == "conversation"


async def test_nothing_of_it_is_shown_to_another_key() -> None:
    async with serving() as http:
        path = await begun(http, "a")
        item = (await items_of(http, path))["data"][0]["id"]
        asked: list[tuple[str, str, dict[str, Any] | None]] = [
            ("GET", path, None),
            ("POST", path, {"metadata": {}}),
            ("DELETE", path, None),
            ("GET", f"{path}/items", None),
            ("POST", f"{path}/items", {"items": [message("x")]}),
            ("GET", f"{path}/items/{item}", None),
            ("DELETE", f"{path}/items/{item}", None),
        ]
        for method, at, body in asked:
            answer = await http.request(method, at, json=body, headers=OTHER)
            assert answer.status_code == 404, (method, at)
        assert await texts_of(http, path) == ["a"]


async def test_items_are_listed_in_pages_the_newest_first() -> None:
    async with serving() as http:
        path = await begun(http, "a", "b", "c")
        first = await items_of(http, path, "limit=2")
        second = await items_of(http, path, f"limit=2&after={first['last_id']}")
        assert await texts_of(http, path) == ["a", "b", "c"]
    texts = [item["content"][0]["text"] for item in first["data"] + second["data"]]
    assert texts == ["c", "b", "a"]
    assert (first["has_more"], second["has_more"]) == (True, False)


async def test_items_are_added_one_is_found_and_one_deleted() -> None:
    async with serving() as http:
        path = await begun(http, "a")
        more = {"items": [message("b"), message("c", id="msg_c")]}
        added = (await http.post(f"{path}/items", json=more)).json()
        assert (added["first_id"], added["last_id"]) == (added["data"][0]["id"], "msg_c")
        assert added["has_more"] is False
        assert (await http.get(f"{path}/items/msg_c")).json() == added["data"][1]
        conversation = (await http.delete(f"{path}/items/{added['first_id']}")).json()
        assert conversation["object"] == "conversation"
        assert await texts_of(http, path) == ["a", "c"]
        for method in ("GET", "DELETE"):
            gone = await http.request(method, f"{path}/items/{added['first_id']}")
            assert (gone.status_code, gone.json()["error"]["param"]) == (404, "item_id")


async def test_an_item_that_is_sent_twice_is_there_twice() -> None:
    async with serving() as http:
        path = await begun(http)
        twice = {"items": [message("a", id="msg_a")]}
        await http.post(f"{path}/items", json=twice)
        again = (await http.post(f"{path}/items", json=twice)).json()
        assert again["first_id"] != "msg_a"
        assert (await http.get(f"{path}/items/{again['first_id']}")).status_code == 200
        assert await texts_of(http, path) == ["a", "a"]


async def test_no_items_are_a_list_too() -> None:
    async with serving() as http:
        path = await begun(http)
        added = (await http.post(f"{path}/items", json={})).json()
    assert (added["data"], added["first_id"], added["last_id"]) == ([], None, None)


UNFIT: list[tuple[Any, str | None]] = [
    ({"metadata": []}, "metadata"),
    ({"metadata": {"a": 1}}, "metadata"),
    ({"metadata": {"a" * 65: "b"}}, "metadata"),
    ({"metadata": {"a": "b" * 513}}, "metadata"),
    ({"metadata": {str(number): "" for number in range(17)}}, "metadata"),
    ({"items": {}}, "items"),
    ({"items": [1]}, "items"),
    ({"items": [{}] * 21}, "items"),
    ({"items": [{"role": "user"}]}, "items[0].content"),
    ({"items": [{"type": "", "content": 1}]}, "items[0].content"),
    ({"items": [{"type": "item_reference", "id": "msg_1"}]}, "items[0].type"),
    ({"items": [{"type": "shell_call"}, {"type": "function_call"}]}, "items[1].call_id"),
    ({"items": [{"type": "function_call_output", "call_id": 1}]}, "items[0].call_id"),
    ([], None),
]


@pytest.mark.parametrize(("body", "param"), UNFIT)
async def test_what_cannot_be_kept_is_refused(body: object, param: str | None) -> None:
    async with serving() as http:
        answer = await http.post("/v1/conversations", json=body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


async def test_a_response_hears_what_was_said_and_adds_to_it() -> None:
    recalls = Recalls()
    async with serving(recalls=recalls) as http:
        path = await begun(http, "a")
        first = await respond(http, path, "b")
        assert first.json()["conversation"] == {"id": path.rpartition("/")[2]}
        assert recalls.texts() == ["a", "b"]
        await respond(http, path, "c")
        assert recalls.texts() == ["a", "b", "2 items", "c"]
        assert await texts_of(http, path) == ["a", "b", "2 items", "c", "4 items"]


async def test_the_same_item_may_be_sent_with_each_response() -> None:
    async with serving(recalls=Recalls()) as http:
        path = await begun(http)
        for _ in range(2):
            sent: dict[str, Any] = {
                "input": [message("a", id="msg_a")],
                "stream": True,
                "store": True,
            }
            answer = await respond(http, path, "", **sent)
            assert "response.completed" in answer.text
        assert await texts_of(http, path) == ["a", "1 items", "a", "3 items"]


@pytest.mark.parametrize("fields", [{}, {"stream": True}, {"stream": True, "store": True}])
async def test_a_run_that_fails_gives_the_turn_back_and_says_nothing(
    fields: dict[str, Any],
) -> None:
    async with serving(recalls=Recalls()) as http:
        path = await begun(http, "a")
        for _ in range(2):
            assert (await respond(http, path, "fail", **fields)).status_code == 500
        assert (await respond(http, path, "b", **fields)).status_code == 200
        assert len(await texts_of(http, path)) == 3


@pytest.mark.parametrize("fields", [{}, {"stream": True}])
async def test_the_next_turn_is_free_as_soon_as_a_response_has_ended(
    fields: dict[str, Any],
) -> None:
    async with serving(recalls=Recalls()) as http:
        path = await begun(http)
        for _ in range(10):
            assert (await respond(http, path, "a", **fields)).status_code == 200


async def test_the_next_turn_is_free_as_soon_as_a_response_is_seen_to_have_ended() -> None:
    async with serving_pair(recalls=Recalls()) as (one, two):
        path = await begun(one.http)
        for _ in range(5):
            made = await respond(one.http, path, "a", background=True)
            assert made.status_code == 200
            with anyio.fail_after(10):
                while True:
                    seen = await two.http.get(f"/v1/responses/{made.json()['id']}")
                    if seen.json()["status"] != "in_progress":
                        break


async def test_of_two_at_once_the_second_is_refused_and_which_says_so_waits() -> None:
    paced = Paced(words=1)
    async with serving_pair(paced=paced) as (one, two):
        path = await begun(one.http)
        answers: list[httpx2.Response] = []

        async def ask(http: httpx2.AsyncClient, headers: dict[str, str]) -> None:
            answers.append(await respond(http, path, "a", model="paced", headers=headers))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask, one.http, REFUSED)
            await paced.has_begun.wait()
            refused = await respond(two.http, path, "b", model="paced")
            assert refused.status_code == 409
            assert refused.json()["error"]["code"] == "conversation_locked"
            tasks.start_soon(ask, two.http, WAITS)
            await anyio.sleep(0.1)
            assert len(paced.given) == 1
            paced.let(2)
        assert [answer.status_code for answer in answers] == [200, 200]
        assert len(paced.given[1]) == 3


async def test_a_response_that_goes_on_ends_its_turn_when_it_ends() -> None:
    paced = Paced(words=2)
    async with serving_worker(paced=paced) as worker:
        path = await begun(worker.http)
        id_ = path.rpartition("/")[2]
        body = {"model": "paced", "input": "a", "conversation": id_}
        kept = {**body, "stream": True, "store": True}
        async with streaming(worker.app, "/v1/responses", body=kept) as stream:
            paced.let(1)
            await stream.has(5)
        assert (await respond(worker.http, path, "b", model="paced")).status_code == 409
        paced.let(3)
        answer = await respond(worker.http, path, "b", model="paced", headers=WAITS)
        assert answer.status_code == 200
        assert await texts_of(worker.http, path) == ["a", "0 1 ", "b", "0 1 "]


async def test_a_conversation_that_is_not_there_cannot_be_continued() -> None:
    async with serving(recalls=Recalls()) as http:
        answer = await respond(http, "conv_none", "a")
    assert (answer.status_code, answer.json()["error"]["param"]) == (404, "conversation")


async def test_a_database_that_is_gone_is_said_to_be() -> None:
    async with serving_worker(recalls=Recalls()) as worker:
        path = await begun(worker.http)
        with worker.outage():
            for answer in (await worker.http.get(path), await respond(worker.http, path, "a")):
                assert answer.status_code == 503
                assert answer.json()["error"]["code"] == "storage_unavailable"
