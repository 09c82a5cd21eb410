"""What becomes of a run in the books when it has ended."""

from hayserve.access.identity import ANYBODY, Identity
from hayserve.access.usage import UsageBook
from hayserve.access.wallet import NO_TAB, Tab
from hayserve.events import Usage

_NOTHING = Usage()


class Bill:
    """Charges one run to whoever asked for it, and notes it.

    Args:
        identity: Who asked.
        tab: What it is charged on.
        book: Where it is noted; None for nowhere.
    """

    __slots__ = ("_book", "_identity", "_tab")

    def __init__(self, identity: Identity, tab: Tab, book: UsageBook | None) -> None:
        self._identity = identity
        self._tab = tab
        self._book = book

    def close(
        self, deployment: str, *, seconds: float, usage: Usage | None, failed: bool = False
    ) -> None:
        """The run has ended.

        Args:
            deployment: What was run.
            seconds: How long it took.
            usage: What its models used; None if none of them said.
            failed: Whether it ended without an answer.
        """
        used = usage or _NOTHING
        self._tab.close(seconds=seconds, tokens=used.input_tokens + used.output_tokens)
        if self._book is not None:
            self._book.note(
                self._identity,
                deployment,
                seconds=seconds,
                input_tokens=used.input_tokens,
                output_tokens=used.output_tokens,
                failed=failed,
            )

    def drop(self) -> None:
        """No run has begun."""
        self._tab.drop()


NO_BILL = Bill(ANYBODY, NO_TAB, None)
