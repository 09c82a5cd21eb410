"""Clients may refer to items that are kept in place of sending them again."""

from typing import Any

import pytest

from hayserve.errors import InvalidRequest, NotFound
from hayserve.kept.responses import Kept
from hayserve.protocols.openai_responses.references import resolved

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
