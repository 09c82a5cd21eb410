"""Items that go into one item, and come out again."""

import base64
import json
import zlib
from typing import Any

import pytest

from hayserve.errors import InvalidRequest, TooLarge
from hayserve.protocols.openai_responses import compaction
from hayserve.protocols.openai_responses.compaction import (
    compaction_of,
    is_said_by_user,
    opened,
)

pytestmark = pytest.mark.anyio

ASKED: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "user",
    "status": "completed",
    "content": [{"type": "input_text", "text": "Hi"}],
}
SAID: dict[str, Any] = {
    "id": "msg_2",
    "type": "message",
    "role": "assistant",
    "content": [{"type": "output_text", "text": "Hello"}],
}
CALL: dict[str, Any] = {"id": "fc_1", "type": "function_call", "call_id": "call_1", "name": "add"}


def text_of(data: bytes, *, version: str = "hs1.") -> str:
    return version + base64.urlsafe_b64encode(zlib.compress(data)).decode()


def item_with(text: object) -> dict[str, Any]:
    return {"type": "compaction", "encrypted_content": text}


async def test_what_goes_in_comes_out() -> None:
    item = await compaction_of([ASKED, SAID, CALL], id_="cmp_1")

    assert (item["id"], item["type"]) == ("cmp_1", "compaction")
    assert await opened([item]) == [ASKED, SAID, CALL]


async def test_items_without_a_compaction_are_as_they_were() -> None:
    assert await opened([ASKED, SAID]) == [ASKED, SAID]


async def test_what_the_user_said_stands_where_it_belongs_and_once() -> None:
    item = await compaction_of([SAID, ASKED, CALL], id_="cmp_1")
    again = {"role": "user", "content": "Hi"}

    assert await opened([ASKED, item, again]) == [SAID, ASKED, CALL, again]


async def test_what_the_user_said_is_known_without_its_id() -> None:
    item = await compaction_of([ASKED, SAID], id_="cmp_1")
    other: dict[str, Any] = {"type": "message", "role": "user", "content": "Ho"}
    system: dict[str, Any] = {"role": "system", "content": "Hi"}

    assert await opened([{"content": "Hi"}, other, system, item]) == [other, system, ASKED, SAID]


async def test_what_the_user_said_is_known_whatever_the_order_of_its_fields() -> None:
    part = {"type": "input_text", "text": "Hi"}
    item = await compaction_of([{"role": "user", "content": [part]}], id_="cmp_1")
    again = {"role": "user", "content": [dict(reversed(part.items()))]}

    assert await opened([again, item]) == await opened([item])


async def test_several_compactions_are_opened() -> None:
    one = await compaction_of([ASKED], id_="cmp_1")
    two = await compaction_of([SAID], id_="cmp_2")

    assert await opened([one, CALL, two]) == [ASKED, CALL, SAID]


@pytest.mark.parametrize(
    "text",
    [
        None,
        5,
        "",
        "hs1.",
        "hs1.***",
        "hs1.é",
        "hs1.AAAA",
        text_of(b"[]", version="hs2."),
        text_of(b"[]")[:-8] + "AAAAAAAA",
        "hs1." + base64.urlsafe_b64encode(zlib.compress(b"[1, 2, 3]")[:-6]).decode(),
        text_of(b"no JSON"),
        text_of(b"{}"),
        text_of(b"[1]"),
    ],
)
async def test_what_this_server_has_not_written_is_refused(text: object) -> None:
    with pytest.raises(InvalidRequest, match="not as this server has written it") as refused:
        await opened([item_with(text)])
    assert refused.value.param == "input"


async def test_a_bomb_is_not_inflated() -> None:
    bomb = text_of(b" " * (compaction.MOST_BYTES + 1))

    assert len(bomb) < 100_000
    with pytest.raises(TooLarge, match="holds more than a request may"):
        await opened([item_with(bomb)])


async def test_many_small_bombs_are_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compaction, "MOST_BYTES", 1000)
    item = item_with(text_of(json.dumps([{"a": "x" * 600}]).encode()))

    assert len(await opened([item])) == 1
    with pytest.raises(TooLarge):
        await opened([item, item])


@pytest.mark.parametrize("limit", ["MOST_BYTES", "MOST_CHARACTERS"])
async def test_what_does_not_fit_in_is_refused(limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compaction, limit, 20)

    with pytest.raises(TooLarge, match="too large to be compacted"):
        await compaction_of([ASKED], id_="cmp_1")


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (ASKED, True),
        ({"role": "user", "content": "Hi"}, True),
        ({"content": "Hi"}, True),
        (SAID, False),
        (CALL, False),
    ],
)
def test_a_message_of_the_user_is_told_from_others(item: dict[str, Any], *, expected: bool) -> None:
    assert is_said_by_user(item) is expected
