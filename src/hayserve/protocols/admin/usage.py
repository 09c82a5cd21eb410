"""Says what callers have used: a list for people, and counters for Prometheus."""

import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Annotated

import anyio.to_thread
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response
from typing_extensions import TypedDict

from hayserve.access.identity import identity_in
from hayserve.access.rules import Rule
from hayserve.access.usage import UsageBook, Used
from hayserve.errors import InvalidRequest, StorageUnavailable
from hayserve.protocols.described import Described, DescribedRoute, described_routes
from hayserve.protocols.json_answer import json_answer
from hayserve.protocols.pages import number_in

USUAL_DAYS, MOST_DAYS = 30, 3650
_DAY = 86400
# Source: https://prometheus.io/docs/instrumenting/exposition_formats/
_PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"
_FIRST_DAY = datetime(1970, 1, 1, tzinfo=UTC)
# Their names, what they mean, and the field of `Used` that has them.
_COUNTERS = (
    ("runs", "Runs that have ended.", "runs"),
    ("failed_runs", "Runs that have ended without an answer.", "failed"),
    ("run_seconds", "How long runs took together.", "seconds"),
    ("input_tokens", "Tokens that models were given.", "input_tokens"),
    ("output_tokens", "Tokens that models gave.", "output_tokens"),
)


class UsageQuery(TypedDict, total=False):
    """Of how many days to tell, today being one."""

    days: Annotated[int, Field(ge=1, le=MOST_DAYS)]


class UsageEntry(TypedDict):
    """What the runs of one caller and one deployment used in one day, in UTC."""

    day: str
    caller: str
    deployment: str
    runs: int
    failed: int
    seconds: float
    input_tokens: int
    output_tokens: int


class UsageList(TypedDict):
    """What was used, the newest day first."""

    usage: list[UsageEntry]


_LISTED = Described(
    allows=Rule.RUNS,
    query=UsageQuery,
    answers=UsageList,
    errors=(InvalidRequest, StorageUnavailable),
)
_COUNTED = Described(
    allows=Rule.RUNS, answers_as=("text/plain",), errors=(InvalidRequest, StorageUnavailable)
)


class UsageRoutes:
    """The face of the books. To the scope `admin` they show all, to a key what is its own.

    Args:
        book: What was used.
    """

    def __init__(self, book: UsageBook) -> None:
        self._book = book

    def routes(self) -> list[DescribedRoute]:
        return described_routes(
            ("GET", "/usage", self.list_usage, _LISTED),
            ("GET", "/metrics", self.count_usage, _COUNTED),
        )

    async def list_usage(self, request: Request) -> Response:
        """List what runs used, by days, callers and deployments."""
        days = _days_in(request.query_params.get("days", str(USUAL_DAYS)))
        used = await self._read(request, since=int(time.time()) // _DAY - days + 1)
        return json_answer({"usage": [_entry(one) for one in used]})

    async def count_usage(self, request: Request) -> Response:
        """Tell the same as counters, for Prometheus."""
        used = await self._read(request, since=0)
        return Response("\n".join(_lines(used)) + "\n", headers={"content-type": _PROMETHEUS})

    async def _read(self, request: Request, *, since: int) -> Sequence[Used]:
        identity = identity_in(request.scope)
        owner = None if identity.scopes.is_admin else identity.owner
        read = partial(self._book.read, since_day=since, owner=owner)
        return await anyio.to_thread.run_sync(read)


def _days_in(value: str) -> int:
    days = number_in(value)
    if days is None or not 1 <= days <= MOST_DAYS:
        raise InvalidRequest(
            f"'days' is {value!r}.", hint=f"It is a number from 1 to {MOST_DAYS}.", param="days"
        )
    return days


def _entry(used: Used) -> UsageEntry:
    return {
        "day": (_FIRST_DAY + timedelta(days=used.day)).date().isoformat(),
        "caller": used.caller,
        "deployment": used.deployment,
        "runs": used.runs,
        "failed": used.failed,
        "seconds": round(used.seconds, 3),
        "input_tokens": used.input_tokens,
        "output_tokens": used.output_tokens,
    }


def _lines(used: Iterable[Used]) -> Iterable[str]:
    whole: dict[tuple[str, str], Used] = {}
    for one in used:
        of_all = Used(0, one.owner, one.deployment, one.caller)
        whole.setdefault((one.caller, one.deployment), of_all).add(one)
    for name, meaning, value in _COUNTERS:
        yield f"# HELP hayserve_{name}_total {meaning}"
        yield f"# TYPE hayserve_{name}_total counter"
        for (caller, deployment), one in whole.items():
            labels = f'caller="{_escaped(caller)}",deployment="{_escaped(deployment)}"'
            yield f"hayserve_{name}_total{{{labels}}} {getattr(one, value)}"


def _escaped(label: str) -> str:
    return label.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
