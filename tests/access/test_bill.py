"""A run that has ended is charged and noted once, one that never began is not."""

import anyio.to_thread
import pytest

from hayserve.access.bill import NO_BILL, Bill
from hayserve.access.identity import Identity
from hayserve.access.usage import UsageBook
from hayserve.access.wallet import NO_TAB
from hayserve.events import Usage
from hayserve.storage.database import Database
from hayserve.wrappers.caller import Caller

ANN = Identity(Caller("key", "ann"), owner="me")


@pytest.mark.anyio
async def test_a_run_that_has_ended_is_noted(database: Database) -> None:
    book = UsageBook(database)
    bill = Bill(ANN, NO_TAB, book)
    bill.close("it", seconds=2.0, usage=Usage(input_tokens=3, output_tokens=4), failed=True)
    Bill(ANN, NO_TAB, book).close("it", seconds=1.0, usage=None)
    Bill(ANN, NO_TAB, book).drop()
    await book.flush()
    [used] = await anyio.to_thread.run_sync(lambda: book.read(since_day=0))
    assert (used.runs, used.failed, used.seconds) == (2, 1, 3.0)
    assert (used.input_tokens, used.output_tokens) == (3, 4)


def test_where_there_are_no_books_nothing_is_noted() -> None:
    NO_BILL.close("it", seconds=1.0, usage=None)
    NO_BILL.drop()
