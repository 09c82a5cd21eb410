"""Which part of a server's work one of its workers has."""

from dataclasses import dataclass, field
from secrets import token_hex

from hayserve.server.local_key import LocalKey


@dataclass(frozen=True, slots=True)
class Role:
    """What one worker does beside answering requests.

    Args:
        number: The place of this worker, from 1. A replacement has the number of the one before.
        declares: It brings what the command line names into the database; exactly one does, once.
        watches: It watches the files of that for changes, if any worker is to; exactly one does,
            and its replacement goes on with it.
        key: The key for deploying, which the parent has left where the command line finds it; None
            where this process is to do that.
        run: What this run of the server is called, by all its workers.
    """

    number: int = 1
    declares: bool = True
    watches: bool = True
    key: LocalKey | None = None
    run: str = field(default_factory=lambda: token_hex(8))
