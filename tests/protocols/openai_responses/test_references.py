"""Clients may refer to items that are kept in place of sending them again."""

from dataclasses import replace
from typing import Any

import pytest

from hayserve.errors import InvalidRequest, NotFound, TooLarge
from hayserve.kept.responses import Kept
from hayserve.protocols.openai_responses.references import MOST_BYTES, resolved

pytestmark = pytest.mark.anyio

RUN = "0123456789abcdef01234567"
SENT, SAID = {"id": f"msg_{RUN}f0000000"}, {"id": f"msg_{RUN}00000000"}
KEPT = Kept(
    id=f"resp_{RUN}00000000",
    owner="",
    run=RUN,
    worker="w",
    previous=None,
    conversation=None,
    input=[SENT],
    body={"output": [SAID]},
)


async def find(id_: str) -> Kept:
    if id_ != KEPT.id:
        raise NotFound("Nothing.")
    return KEPT


def reference(id_: Any) -> dict[str, Any]:
    return {"type": "item_reference", "id": id_}


async def test_a_reference_stands_for_an_item_of_a_response_that_is_kept() -> None:
    items = [reference(SAID["id"]), {"role": "user"}, reference(SENT["id"])]

    assert await resolved(items, [], find=find) == [SAID, {"role": "user"}, SENT]


async def test_a_reference_may_mean_what_was_said_before() -> None:
    assert await resolved([reference("mine")], [{"id": "mine"}], find=find) == [{"id": "mine"}]


@pytest.mark.parametrize("id_", ["mine", None, f"msg_{RUN}00000001", f"msg_{RUN[::-1]}00000000"])
async def test_a_reference_to_nothing_is_refused(id_: Any) -> None:
    with pytest.raises(InvalidRequest, match="not found") as refused:
        await resolved([reference(id_)], [], find=find)

    assert refused.value.param == "input"


class Shelf:
    """Responses that are kept, and what was asked for of them."""

    def __init__(self, *responses: Kept) -> None:
        self._responses = {one.id: one for one in responses}
        self.asked: list[str] = []

    async def find(self, id_: str) -> Kept:
        self.asked.append(id_)
        return self._responses[id_]


def said_by(run: str, *items: dict[str, Any]) -> Kept:
    return replace(KEPT, id=f"resp_{run}00000000", run=run, input=(), body={"output": list(items)})


async def test_what_is_referred_to_again_is_looked_up_once() -> None:
    shelf = Shelf(KEPT)
    items = [reference(SAID["id"]), reference(SENT["id"])] * 500

    found = await resolved(items, [], find=shelf.find)

    assert found == [SAID, SENT] * 500
    assert {id(item) for item in found} == {id(SAID), id(SENT)}
    assert shelf.asked == [KEPT.id]


async def test_an_item_is_the_one_of_the_run_that_its_id_names() -> None:
    others = {"id": f"msg_{RUN[::-1]}00000000"}
    shelf = Shelf(said_by(RUN, SAID, {**others, "said": "later"}), said_by(RUN[::-1], others))

    found = await resolved([reference(SAID["id"]), reference(others["id"])], [], find=shelf.find)

    assert found == [SAID, others]


def large(id_: str, *, size: int) -> dict[str, Any]:
    """An item that has `size` bytes as JSON."""
    return {"id": id_, "text": "x" * (size - len(f'{{"id":"{id_}","text":""}}'))}


async def test_what_is_referred_to_counts_as_often_as_it_is() -> None:
    item = large("mine", size=MOST_BYTES // 20)

    assert await resolved([reference("mine")] * 20, [item], find=find) == [item] * 20
    with pytest.raises(TooLarge, match="larger together than 20 MB") as refused:
        await resolved([reference("mine")] * 21, [item], find=find)
    assert refused.value.param == "input"


async def test_no_more_is_looked_up_than_there_is_room_for() -> None:
    runs = [f"{number:024x}" for number in range(5)]
    items = [large(f"msg_{run}00000000", size=MOST_BYTES // 2) for run in runs]
    responses = [said_by(run, item) for run, item in zip(runs, items, strict=True)]
    shelf = Shelf(*responses)

    with pytest.raises(TooLarge):
        await resolved([reference(item["id"]) for item in items], [], find=shelf.find)
    assert shelf.asked == [one.id for one in responses[:3]]
