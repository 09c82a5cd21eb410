"""What was used is listed and counted: all of it for an operator, what is its own for a key."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import anyio
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.testclient import TestClient

from hayserve.access.identity import Identity
from hayserve.access.scopes import ALL, RUNS
from hayserve.access.usage import UsageBook
from hayserve.protocols.admin.usage import UsageRoutes
from hayserve.server.callers import Callers, Door
from hayserve.server.error_responses import handlers
from hayserve.server.gate import Gate
from hayserve.server.middleware import RunIds
from hayserve.storage.database import Database
from hayserve.wrappers.caller import Caller

ANN = Identity(Caller("key", "ann"), owner="a", scopes=RUNS)
BOB = Identity(Caller("key", "bob"), owner="b", scopes=ALL)
DAY = 86400


@pytest.fixture
def http() -> Iterator[TestClient]:
    database = Database("sqlite://")
    database.open()
    book = UsageBook(database)
    for identity in (ANN, ANN, BOB):
        book.note(identity, "agent", seconds=1.25, input_tokens=3, output_tokens=2)
    book.note(BOB, 'o"d\\d\n', seconds=0.5, failed=True)
    earlier = UsageBook(database, clock=lambda: time.time() - 40 * DAY)
    earlier.note(BOB, "agent", seconds=10)
    for each in (book, earlier):
        anyio.run(each.flush)
    callers = Callers(lambda shown: ANN if shown.id == "0" * 12 else BOB, door=Door())
    app = Starlette(
        routes=UsageRoutes(book).routes(),
        middleware=[Middleware(RunIds), Middleware(Gate, callers, None)],
        exception_handlers=handlers(),
    )
    with TestClient(app, "http://localhost") as client:
        yield client
    database.close()


def shows(who: Identity) -> dict[str, str]:
    digit = "0" if who is ANN else "1"
    return {"x-api-key": f"hs_{digit * 12}_{'x' * 43}"}


def listed(http: TestClient, who: Identity, query: str = "") -> list[dict[str, Any]]:
    answer = http.get(f"/usage{query}", headers=shows(who))
    assert answer.status_code == 200, answer.text
    return answer.json()["usage"]


def test_a_key_sees_its_own(http: TestClient) -> None:
    assert listed(http, ANN) == [
        {
            "day": datetime.now(UTC).date().isoformat(),
            "caller": "key ann",
            "deployment": "agent",
            "runs": 2,
            "failed": 0,
            "seconds": 2.5,
            "input_tokens": 6,
            "output_tokens": 4,
        }
    ]


def test_an_operator_sees_all_of_the_days_that_are_asked_for(http: TestClient) -> None:
    assert [(one["caller"], one["runs"], one["failed"]) for one in listed(http, BOB)] == [
        ("key ann", 2, 0),
        ("key bob", 1, 0),
        ("key bob", 1, 1),
    ]
    assert len(listed(http, BOB, "?days=1")) == 3
    assert len(listed(http, BOB, "?days=41")) == 4


@pytest.mark.parametrize("days", ["0", "-1", "x", "", "3651", "9" * 99])
def test_days_that_mean_nothing_are_refused(http: TestClient, days: str) -> None:
    refused = http.get(f"/usage?days={days}", headers=shows(ANN))
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_request")


def test_prometheus_is_given_counters_of_all_days(http: TestClient) -> None:
    answer = http.get("/metrics", headers=shows(BOB))
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    lines = answer.text.splitlines()
    assert "# TYPE hayserve_runs_total counter" in lines
    assert 'hayserve_runs_total{caller="key bob",deployment="agent"} 2' in lines
    assert 'hayserve_run_seconds_total{caller="key bob",deployment="agent"} 11.25' in lines
    assert 'hayserve_failed_runs_total{caller="key bob",deployment="o\\"d\\\\d\\n"} 1' in lines
    assert 'hayserve_input_tokens_total{caller="key ann",deployment="agent"} 6' in lines
